"""The server that `COMFYUI_URL` names, and the command that starts it, if there is one."""

import pytest

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What these tests read from the environment.

    Args:
        comfyui_url: a ComfyUI that is idle and may be worked with; without one, only the stand-in is tested.
        comfyui_command: starts a ComfyUI of the test's own; for the tests in which it is killed.
        comfyui_command_url: where that one listens.
    """

    comfyui_url: str = ""
    comfyui_command: str = ""
    comfyui_command_url: str = ""


@pytest.fixture(scope="session")
def comfyui_url() -> str:
    url = Settings.from_environment().comfyui_url.rstrip("/")
    if not url:
        pytest.skip("COMFYUI_URL names no server")
    return url


@pytest.fixture(scope="session")
def comfyui_command() -> dict[str, str]:
    """Return the worker's settings for a ComfyUI that it starts itself."""
    settings = Settings.from_environment()
    if not (settings.comfyui_command and settings.comfyui_command_url):
        pytest.skip("COMFYUI_COMMAND starts no server at COMFYUI_COMMAND_URL")
    return {"comfyui_command": settings.comfyui_command, "comfyui_url": settings.comfyui_command_url.rstrip("/")}
