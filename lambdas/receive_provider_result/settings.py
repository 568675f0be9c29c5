"""Settings of receive_provider_result."""

from pydantic import Field

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What receive_provider_result needs to know.

    Args:
        idempotency_table: name of the table of the step ledger.
        queue_url: URL of the queue that workers listen to.
        task_days: how long records are kept, days.
        fal_jwks_url: where fal publishes the keys that it signs with.
    """

    idempotency_table: str
    queue_url: str
    task_days: int = Field(ge=1, le=3650)
    fal_jwks_url: str = Field(pattern=r"^https?://")
