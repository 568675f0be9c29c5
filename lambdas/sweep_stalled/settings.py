"""Settings of sweep_stalled."""

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What sweep_stalled needs to know.

    Args:
        task_store: name of the table of tasks.
        state_machine_prefix: ARN of an operation's state machine without the operation's name.
        dead_letter_queue_urls: URLs of the dead-letter queues, separated by commas.
        bucket: name of the bucket of results.
    """

    task_store: str
    state_machine_prefix: str
    dead_letter_queue_urls: str
    bucket: str
