"""Record what a ComfyUI answers: `python -m tests.comfyui <url> [<scenario> …]`."""

import asyncio
import sys

import httpx

from tests.comfyui.scenarios import SCENARIOS, record
from tests.comfyui.transcripts import keep


def main(url: str, *names: str) -> None:
    """Write transcripts into the folder of the server's version."""
    version = httpx.get(f"{url}/system_stats").json()["system"]["comfyui_version"]
    for name in names or SCENARIOS:
        keep(version, name, asyncio.run(record(name, url)))
        print(version, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
