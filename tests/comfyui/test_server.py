"""The server of `COMFYUI_URL` against what one of its version has answered before."""

import asyncio

import httpx
import pytest

from tests.comfyui.graphs import Unfit
from tests.comfyui.scenarios import SCENARIOS, record
from tests.comfyui.transcripts import transcript, versions


@pytest.fixture(scope="module")
def version(comfyui_url) -> str:
    found = httpx.get(f"{comfyui_url}/system_stats").json()["system"]["comfyui_version"]
    if found not in versions():
        pytest.skip(f"nothing is recorded of {found}: `python -m tests.comfyui {comfyui_url}` does it")
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_server_answers_as_recorded(comfyui_url, version, name):
    try:
        said = asyncio.run(record(name, comfyui_url))
    except Unfit as unfit:
        pytest.skip(str(unfit))
    assert said == transcript(version, name)
