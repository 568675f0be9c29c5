"""What the worker says of itself: `GET /ready` for whoever starts and stops it, `GET /health` for a person."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from aiohttp import web


@dataclass(frozen=True)
class Condition:
    """What a worker does.

    Args:
        is_ready: whether it takes messages.
        state: in words.
        comfyui: version of ComfyUI; empty before it was up.
        jobs: what is in which stage.
    """

    is_ready: bool
    state: str
    comfyui: str
    jobs: list[dict[str, str]]


@asynccontextmanager
async def served(condition: Callable[[], Condition], port: int) -> AsyncIterator[int]:
    """Serve both routes on loopback.

    Args:
        condition: tells what the worker does.
        port: 0 for any that is free.

    Returns:
        The port.
    """

    async def ready(_: web.Request) -> web.Response:
        found = condition()
        return web.json_response({"state": found.state}, status=200 if found.is_ready else 503)

    async def health(_: web.Request) -> web.Response:
        return web.json_response(asdict(condition()))

    app = web.Application()
    app.router.add_get("/ready", ready)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
