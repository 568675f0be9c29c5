"""Checks, uploads and notes a checkpoint; the next deployment gives the model its endpoint."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cdk.checkpoints import CHECKPOINTS, Checkpoint, Checkpoints
from cdk.config import Stage
from cdk.publishing.bucket import ModelBucket
from cdk.publishing.errors import NotPublished
from cdk.publishing.weights import MODELS_PYTHON, Weights
from cdk.stages import StageUnknown, stage_named


def publish(
    stage: Stage,
    model: str,
    path: Path,
    *,
    find_bucket: Callable[[Stage], ModelBucket] = ModelBucket.of,
    python: Path = MODELS_PYTHON,
    checkpoints: Path = CHECKPOINTS,
    say: Callable[[str], None] = print,
) -> Checkpoint:
    """Publish a checkpoint; doing it again changes nothing.

    Args:
        stage: gets it.
        model: name of the model in the stage.
        path: of the weights, a file or a folder.
        find_bucket: finds the stage's bucket.
        python: interpreter that has what the model needs.
        checkpoints: where the hash is noted.
        say: is told what happens.

    Raises:
        NotPublished: what is missing or wrong; the file of checkpoints is as it was.
    """
    if model not in stage.models:
        raise NotPublished(f"stage {stage.name} has no model {model!r}; it has {', '.join(sorted(stage.models))}")
    weights = Weights.at(path)
    described = weights.check(model, python)
    found = ", ".join(f"{name} {value}" for name, value in described.items())
    say(f"{path.name}: {weights.size_bytes / 1e6:.0f} MB, sha256 {weights.sha256[:12]}…, {found}")
    bucket = find_bucket(stage)
    uploaded = bucket.upload(model, weights)
    where = f"s3://{bucket.name}/{bucket.prefix(model, weights)}"
    say(f"{where}: {', '.join(uploaded)} uploaded" if uploaded else f"{where}: was there already")
    before = Checkpoints.read(checkpoints)
    noted = before.root.get(stage.name, {}).get(model)
    if noted is not None and noted.sha256 == weights.sha256:
        say(f"{checkpoints.name} names it already")
        return noted
    checkpoint = Checkpoint(sha256=weights.sha256, published_at=datetime.now(UTC).replace(microsecond=0))
    before.with_checkpoint(stage.name, model, checkpoint).write(checkpoints)
    say(f"{checkpoints.name} names it now: commit that, then make deploy STAGE={stage.name}")
    return checkpoint


def main(arguments: Sequence[str]) -> int:
    """Publish what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make publish-model", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", required=True)
    given = parser.parse_args(arguments)
    try:
        stage = stage_named(given.stage)
        if not given.model or not given.weights:
            raise NotPublished("say which: make publish-model MODEL=schp WEIGHTS=path STAGE=dev")
        publish(stage, given.model, Path(given.weights))
    except (NotPublished, StageUnknown) as error:
        print(f"not published: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
