"""The process of a ComfyUI that the worker starts itself."""

import asyncio
import contextlib
import math
import os
import shlex
import signal
import sys
import time

from aws_lambda_powertools import Logger

#: How long ComfyUI gets to end by itself, seconds.
_END_S = 10.0

#: Shortest pause between two starts, seconds.
_RESTART_PAUSE_S = 5.0

#: Longest start, custom nodes included, seconds.
_START_LIMIT_S = 600.0

logger = Logger()


class ComfyuiProcess:
    """Starts ComfyUI, and starts it again.

    Args:
        command: split like a shell does, and run without one; empty if somebody else runs ComfyUI.
    """

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
        self._process: asyncio.subprocess.Process | None = None
        self._began = -math.inf

    @property
    def is_running(self) -> bool:
        """Whether a process of ours runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def is_missing(self) -> bool:
        """Whether a process of ours should run and does not."""
        return bool(self._command) and not self.is_running

    async def ensure(self) -> None:
        """Start the process if it is ours and does not run, and again if it was started long ago and never listened."""
        if self.is_running and time.monotonic() - self._began > _START_LIMIT_S:
            logger.error("ComfyUI was started and does not listen", limit_s=_START_LIMIT_S)
            await self.kill()
        if not self._command or self.is_running or time.monotonic() - self._began < _RESTART_PAUSE_S:
            return
        if self._process is not None:
            logger.error("ComfyUI has ended", exit_code=self._process.returncode)
        # Its lines go where ours do not: ours on stdout are JSON.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )
        self._began = time.monotonic()
        logger.info("ComfyUI is started", pid=self._process.pid)

    async def kill(self) -> None:
        """End the process at once."""
        await self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """End the process, gently at first."""
        try:
            async with asyncio.timeout(_END_S):
                await self._signal(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        await process.wait()
