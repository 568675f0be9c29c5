"""The stages by name, as command lines give them."""

import json

from cdk.config import DEV, PROD, Stage, local_stage

STAGES = {stage.name: stage for stage in (DEV, PROD)}


class StageUnknown(Exception):
    """There is no stage of this name; the message is a sentence for the operator."""


def stage_named(name: str | None, local: str | None = None) -> Stage:
    """Return a stage.

    Args:
        name: of the stage.
        local: what stage `local` is made of, as JSON; see `cdk.config.local_stage`.

    Raises:
        StageUnknown: there is none, or `local` is missing.
    """
    if name == "local" and local:
        return local_stage(**json.loads(local))
    if name not in STAGES:
        raise StageUnknown(f"there is no stage {name!r} on AWS; choose STAGE={'|'.join(STAGES)}")
    return STAGES[name]
