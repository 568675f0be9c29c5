"""Settings of receive_model_result."""

from backlot.model_lane import ModelLaneSettings


class Settings(ModelLaneSettings):
    """What receive_model_result needs to know."""
