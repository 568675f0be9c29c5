"""Publishes a model file of the GPU lane: `make publish-gpu-model FILE=… STAGE=dev`; the next deployment brings it."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cdk.checkpoints import weights_prefix
from cdk.config import Stage
from cdk.gpu_models import COMFYUI, MANIFEST, Manifest, PublishedFile
from cdk.publishing.bucket import ModelBucket
from cdk.publishing.errors import NotPublished
from cdk.publishing.weights import Weights
from cdk.stages import StageUnknown, stage_named

#: Longest header of a safetensors file, bytes. Source: the format's own description, read 2026-11-21.
MAX_HEADER_BYTES = 100_000_000


def publish(
    stage: Stage,
    path: Path,
    *,
    find_bucket: Callable[[Stage], ModelBucket] = ModelBucket.of,
    manifest: Path = MANIFEST,
    say: Callable[[str], None] = print,
) -> PublishedFile:
    """Publish a file; doing it again changes nothing.

    Args:
        stage: gets it.
        path: of the file; its name is one of the manifest.
        find_bucket: finds the stage's bucket.
        manifest: where size and hash are noted.
        say: is told what happens.

    Raises:
        NotPublished: what is missing or wrong; the manifest is as it was.
    """
    before = Manifest.read(manifest)
    names = [model.name for model in before.root]
    if path.name not in names:
        raise NotPublished(f"{manifest.name} names no {path.name!r}; it names {', '.join(names)}")
    check(path)
    weights = Weights.at(path)
    published = PublishedFile(size_bytes=weights.size_bytes, sha256=weights.sha256)
    bucket = find_bucket(stage)
    prefix = weights_prefix(COMFYUI, weights.sha256)
    uploaded = bucket.upload(prefix, weights, say)
    where = f"s3://{bucket.name}/{prefix}{path.name}"
    say(f"{where}: {weights.size_bytes / 1e9:.2f} GB {'uploaded' if uploaded else 'were there already'}")
    after = before.with_file(stage.name, path.name, published)
    if after != before:
        after.write(manifest)
    missing = after.missing(stage)
    say(
        f"{manifest.name} names it; {len(missing)} more until the lane is there: {', '.join(missing)}"
        if missing
        else f"{manifest.name} names them all: commit that, then make deploy STAGE={stage.name}"
    )
    return published


def check(path: Path) -> None:
    """Refuse what is no whole safetensors file; only its header is read.

    Raises:
        NotPublished: it is missing, something else, or cut off.
    """
    if not path.is_file():
        raise NotPublished(f"there is no file {path}")
    with path.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
        header = stream.read(header_bytes) if header_bytes <= MAX_HEADER_BYTES else b""
    try:
        tensors = {name: each["data_offsets"] for name, each in json.loads(header).items() if name != "__metadata__"}
        data_bytes = max(end for _, end in tensors.values())
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise NotPublished(f"{path} is no safetensors file") from error
    there = path.stat().st_size
    if there != 8 + header_bytes + data_bytes:
        raise NotPublished(f"{path} has {there} bytes, its header says {8 + header_bytes + data_bytes}: load it again")


def main(arguments: Sequence[str]) -> int:
    """Publish what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make publish-gpu-model", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--file", required=True)
    given = parser.parse_args(arguments)
    try:
        stage = stage_named(given.stage)
        if not given.file:
            raise NotPublished("say which: make publish-gpu-model FILE=path STAGE=dev")
        publish(stage, Path(given.file))
    except (NotPublished, StageUnknown) as error:
        print(f"not published: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
