"""Publishes a checkpoint of one of a model's tasks: whoever asks the model reads which one counts; none is deployed.

The object `models/<model>/tasks/<task>.json` says which; the weights lie beside it, by their hash.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backlot.assets import task_checkpoint_key, task_checkpoints_prefix
from cdk.config import Stage
from cdk.publishing.bucket import ModelBucket
from cdk.publishing.errors import NotPublished
from cdk.publishing.weights import MODELS_PYTHON, Weights


def publish_task(
    stage: Stage,
    model: str,
    task: str,
    path: Path,
    *,
    find_bucket: Callable[[Stage], ModelBucket] = ModelBucket.of,
    python: Path = MODELS_PYTHON,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Publish a task's checkpoint and have it used; doing it again changes nothing.

    Args:
        stage: gets it.
        model: name of the model in the stage.
        task: of the model.
        path: of the checkpoint, a folder.
        find_bucket: finds the stage's bucket.
        python: interpreter that has what the model needs.
        say: is told what happens.

    Returns:
        What the object says now.

    Raises:
        NotPublished: what is missing or wrong; the checkpoint that counted before still does.
    """
    _takes_tasks(stage, model)
    folder = Weights.at(path)
    found = folder.check(model, python)
    if found.get("task") != task:
        of = (
            f"a checkpoint of the task {found['task']}"
            if "task" in found
            else f"no checkpoint of one of {model}'s tasks"
        )
        raise NotPublished(f"{path} is {of}, and TASK={task} was said")
    weights = folder.only(found["sha256"])
    room_gb = stage.models[model].files_gb
    if weights.size_bytes > room_gb * 10**9:
        raise NotPublished(
            f"{path} has {weights.size_bytes / 1e9:.1f} GB, and instances keep {room_gb} GB of such files (files_gb): "
            f"publish it within the model's own folder, or raise that"
        )
    bucket = find_bucket(stage)
    prefix = f"{task_checkpoints_prefix(model)}{task}/{weights.sha256}/"
    uploaded = bucket.upload(prefix, weights, say)
    (name,) = weights.files
    uri = f"s3://{bucket.name}/{prefix}{name}"
    say(f"{uri}: {weights.size_bytes / 1e6:.0f} MB {'uploaded' if uploaded else 'were there already'}")
    return _point(
        bucket, task_checkpoint_key(model, task), {"uri": uri, "sha256": weights.sha256, "config": found["config"]}, say
    )


def withdraw_task(
    stage: Stage,
    model: str,
    task: str,
    *,
    find_bucket: Callable[[Stage], ModelBucket] = ModelBucket.of,
    say: Callable[[str], None] = print,
) -> None:
    """Have the checkpoint of the model's own folder used again.

    Raises:
        NotPublished: the model takes none, none is published, or S3 refuses.
    """
    _takes_tasks(stage, model)
    bucket, key = find_bucket(stage), task_checkpoint_key(model, task)
    if bucket.read(key) is None:
        raise NotPublished(f"s3://{bucket.name}/{key} does not exist, so that {model}'s own folder counts already")
    bucket.delete(key)
    say(f"s3://{bucket.name}/{key} is deleted: the next request for {task} uses what {model}'s own folder has")


def _takes_tasks(stage: Stage, model: str) -> None:
    if not stage.models[model].files_gb:
        others = sorted(name for name, config in stage.models.items() if config.files_gb)
        raise NotPublished(f"{model} has no checkpoints of tasks; {', '.join(others)} has")


def _point(bucket: ModelBucket, key: str, wanted: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    before = _json_object(bucket.read(key))
    if {name: before.get(name) for name in wanted} == wanted:
        say(f"s3://{bucket.name}/{key} names it already")
        return before
    now = {**wanted, "published_at": datetime.now(UTC).isoformat(timespec="seconds")}
    bucket.write(key, json.dumps(now, indent=2).encode())
    say(f"s3://{bucket.name}/{key} names it: the next request uses it, nothing has to be deployed")
    return now


def _json_object(body: bytes | None) -> dict[str, Any]:
    """Read what an object says; something else says nothing, and is written anew."""
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
