"""Names that a stage's things have: where a person or a tool looks for them."""

from cdk.config import Stage


def stack_prefix(stage: Stage) -> str:
    """Return what the names of a stage's stacks begin with; no other stage's do, for names of stages have no hyphen."""
    return f"backlot-{stage.name}-"


def secrets_prefix(stage: Stage) -> str:
    """Return what a stage's secrets' names begin with."""
    return f"backlot/{stage.name}/"


def bucket_name(stage: Stage, account: str, region: str) -> str:
    """Return the name of a stage's bucket: all of AWS shares such names; on the emulator ours is alone."""
    owner = "" if stage.emulated else f"-{account}-{region}"
    return f"short-drama-assets{stage.name_suffix}{owner}"


def endpoint_name(stage: Stage, model: str) -> str:
    """Return the name of a model's endpoint in a stage."""
    return f"backlot-{stage.name}-{model}"


def task_store_name(stage: Stage) -> str:
    """Return the name of the table of tasks."""
    return f"task_store{stage.name_suffix}"


def idempotency_name(stage: Stage) -> str:
    """Return the name of the table that makes submissions and steps happen once."""
    return f"task_idempotency{stage.name_suffix}"
