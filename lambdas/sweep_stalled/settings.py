"""Settings of sweep_stalled."""

from pydantic import Field

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What sweep_stalled needs to know.

    Args:
        task_store: name of the table of tasks.
        state_machine_prefix: ARN of an operation's state machine without the operation's name.
        dead_letter_queue_urls: URLs of the dead-letter queues, separated by commas.
        bucket: name of the bucket of results.
        idempotency_table: name of the table of the step ledger.
        model_queue_url: URL of the queue of work for models of our own.
        task_days: how long records are kept, days.
    """

    task_store: str
    state_machine_prefix: str
    dead_letter_queue_urls: str
    bucket: str
    idempotency_table: str
    model_queue_url: str
    task_days: int = Field(ge=1, le=3650)
