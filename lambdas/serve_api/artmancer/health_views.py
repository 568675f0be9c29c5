"""The shapes in which the ArtMancer server spoke of its machines."""

from pydantic import Field

from backlot.views import View


class ModelHealth(View):
    """Answer of `GET /api/health`."""

    status: str
    model_loaded: bool
    device: str
    device_info: dict[str, str | int | float | bool]
    state: str = Field(description="`cold`: no instance runs. `warm`: one does. `hot`: it worked a short time ago.")


class SystemHealth(View):
    """Answer of `GET /api/system/health`."""

    status: str = Field(description="`healthy` or `degraded`.")
    services: dict[str, dict[str, str]]
