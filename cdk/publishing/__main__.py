"""Checks, uploads and notes a checkpoint; the next deployment gives the model its endpoint.

With a task, the checkpoint is one of that task, and counts at once. Weights `none` put the model's own one back.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cdk.checkpoints import CHECKPOINTS, Checkpoint, Checkpoints, restrictions, weights_prefix
from cdk.config import Stage
from cdk.publishing.bucket import ModelBucket
from cdk.publishing.errors import NotPublished
from cdk.publishing.task import publish_task, withdraw_task
from cdk.publishing.weights import MODELS_PYTHON, Weights
from cdk.stages import StageUnknown, stage_named

#: Weights of a task that say: those of the model's own folder.
WITHDRAWN = "none"


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
    weights = Weights.at(path)
    found = weights.check(model, python)
    if "task" in found:
        raise NotPublished(f"{path} is a checkpoint of the task {found['task']}: say TASK={found['task']}")
    described = ", ".join(f"{name} {value}" for name, value in found.items() if name != "licences")
    say(f"{path.name}: {weights.size_bytes / 1e6:.0f} MB, sha256 {weights.sha256[:12]}…, {described}")
    _tell_restrictions(model, found, say)
    bucket, prefix = find_bucket(stage), weights_prefix(model, weights.sha256)
    uploaded = bucket.upload(prefix, weights, say)
    where = f"s3://{bucket.name}/{prefix}"
    say(f"{where}: {', '.join(uploaded)} uploaded" if uploaded else f"{where}: was there already")
    before = Checkpoints.read(checkpoints)
    noted = before.root.get(stage.name, {}).get(model)
    if noted is not None and (noted.sha256, noted.found) == (weights.sha256, found):
        say(f"{checkpoints.name} names it already")
        return noted
    checkpoint = Checkpoint(sha256=weights.sha256, published_at=datetime.now(UTC).replace(microsecond=0), found=found)
    before.with_checkpoint(stage.name, model, checkpoint).write(checkpoints)
    say(f"{checkpoints.name} names it now: commit that, then make deploy STAGE={stage.name}")
    return checkpoint


def _tell_restrictions(model: str, found: dict[str, Any], say: Callable[[str], None]) -> None:
    sentences = restrictions(found)
    if sentences:
        say(f"LICENCES of {model}: whoever deploys it has to keep to them.")
    for sentence in sentences:
        say(f"  {sentence}")


def main(arguments: Sequence[str]) -> int:
    """Publish what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make publish-model", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--task", default="", help="of the model; empty for the model itself")
    given = parser.parse_args(arguments)
    try:
        stage, model = stage_named(given.stage), given.model.replace("_", "-")
        if not model or not given.weights:
            raise NotPublished("say which: make publish-model MODEL=schp WEIGHTS=path STAGE=dev")
        if model not in stage.models:
            raise NotPublished(f"stage {stage.name} has no model {model!r}; it has {', '.join(sorted(stage.models))}")
        if not given.task:
            publish(stage, model, Path(given.weights))
        elif given.weights == WITHDRAWN:
            withdraw_task(stage, model, given.task)
        else:
            publish_task(stage, model, given.task, Path(given.weights))
    except (NotPublished, StageUnknown) as error:
        print(f"not published: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
