"""Settings of invoke_model."""

from backlot.model_lane import ModelLaneSettings


class Settings(ModelLaneSettings):
    """What invoke_model needs to know.

    Args:
        queue_url: URL of the queue that it works on.
    """

    queue_url: str
