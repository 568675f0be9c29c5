"""Talks with a ComfyUI: each scenario does something to a server, whichever it is, and keeps what it answered.

The server has to be idle and may be a real one; nothing of what others have stored in it is changed.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientSession

from tests.comfyui.recorder import Recorder
from tests.comfyui.scenarios import answers, ends, queue, refusals, sockets

Scenario = Callable[[Recorder], Awaitable[None]]

#: By name.
SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario for part in (ends, queue, refusals, sockets, answers) for scenario in part.SCENARIOS
}


async def record(name: str, url: str) -> dict[str, Any]:
    """Run a scenario against a server and return its transcript.

    Raises:
        Unfit: the server lacks what the scenario needs.
    """
    async with ClientSession() as session:
        recorder = Recorder(session, url.rstrip("/"))
        await SCENARIOS[name](recorder)
        return recorder.transcript()
