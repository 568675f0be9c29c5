"""The stages that something can be published in."""

from cdk.config import DEV, PROD, Stage
from cdk.publishing.errors import NotPublished

_STAGES = {stage.name: stage for stage in (DEV, PROD)}


def stage_called(name: str) -> Stage:
    """Return a stage on AWS by its name.

    Raises:
        NotPublished: there is none of this name.
    """
    if name not in _STAGES:
        raise NotPublished(f"there is no stage {name!r} on AWS; choose STAGE={'|'.join(_STAGES)}")
    return _STAGES[name]
