"""Settings of settle_execution."""

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What settle_execution needs to know.

    Args:
        task_store: name of the table of tasks.
    """

    task_store: str
