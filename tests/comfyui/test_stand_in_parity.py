"""ComfyUI's stand-in against what real servers have answered."""

import asyncio
from pathlib import Path

import pytest

from local.stand_ins.comfyui.application import application
from local.stand_ins.comfyui.records import Settings
from tests.comfyui.scenarios import SCENARIOS, record
from tests.comfyui.transcripts import transcript
from tests.wire.apps import Served


@pytest.mark.parametrize(("protocol", "version"), [("0.3", "0.3.64"), ("0.33", "0.33.0")])
@pytest.mark.parametrize("name", SCENARIOS)
def test_stand_in_answers_as_comfyui_did(protocol: str, version: str, name: str, tmp_path: Path) -> None:
    served = Served(application(tmp_path, Settings(step_s=0.01), protocol=protocol))
    try:
        said = asyncio.run(record(name, served.origin))
    finally:
        served.close()
    assert said == transcript(version, name)
