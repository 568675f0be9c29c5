"""Settings of settle_execution."""

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What settle_execution needs to know.

    Args:
        task_store: name of the table of tasks.
        idempotency_table: name of the table of counters.
        state_machine_prefix: ARN of a state machine of this deployment without its own name.
    """

    task_store: str
    idempotency_table: str
    state_machine_prefix: str
