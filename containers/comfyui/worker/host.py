"""The host's side: EC2's notice that a spot instance ends, and ECS's promise not to stop a task that works."""

import asyncio
import math
import time
from collections.abc import Callable

import aiohttp
from aws_lambda_powertools import Logger

#: How often the notice is looked for, seconds: it comes two minutes before the end.
_NOTICE_LOOK_S = 5.0

#: How long a token of the instance metadata is good, and how long it is used, seconds.
_TOKEN_TTL_S, _TOKEN_USE_S = 21_600, 18_000

#: For how long protection is asked, minutes; after how long it is asked for again, and how often that is looked at,
#: seconds.
_PROTECTED_MINUTES, _PROTECT_AGAIN_S, _PROTECTION_LOOK_S = 15, 300.0, 2.0

#: After how long at a stretch a task at work is let go of, and for how long, seconds: ECS stops no task of an older
#: deployment before, and there may always be work. Shorter pauses, which ECS may miss, are part of the stretch.
_STRETCH_S, _LAPSE_S = 1800.0, 60.0

_TIMEOUT = aiohttp.ClientTimeout(total=5)

logger = Logger()


class SpotNotice:
    """Looks for the notice of interruption in the instance metadata, version 2.

    Args:
        http: of whoever closes it.
        url: of the metadata; empty if there is none.

    Source: AWS's guide to EC2, "Spot Instance interruption notices", read 2026-11-21.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self._token, self._token_since = "", 0.0

    async def wait(self) -> None:
        """Return when the notice is there."""
        while not (self._url and await self._is_there()):
            await asyncio.sleep(_NOTICE_LOOK_S)

    async def _is_there(self) -> bool:
        try:
            if not self._token or time.monotonic() - self._token_since > _TOKEN_USE_S:
                self._token = await self._new_token()
                self._token_since = time.monotonic()
            headers = {"X-aws-ec2-metadata-token": self._token}
            url = f"{self._url}/latest/meta-data/spot/instance-action"
            async with self._http.get(url, headers=headers, timeout=_TIMEOUT) as response:
                if response.status == 401:
                    self._token = ""
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the instance metadata cannot be read", reason=str(error))
            return False

    async def _new_token(self) -> str:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_TTL_S)}
        url = f"{self._url}/latest/api/token"
        async with self._http.put(url, headers=headers, timeout=_TIMEOUT, raise_for_status=True) as response:
            return await response.text()


class TaskProtection:
    """Asks ECS not to stop this task when it scales in, while it works; not for ever, or a deployment would never end.

    Args:
        http: of whoever closes it.
        agent_url: of the container agent; empty outside ECS.
        clock: seconds that only grow.

    Source: AWS's guide to ECS, "Task scale-in protection endpoint", read 2026-11-21.
    """

    def __init__(
        self, http: aiohttp.ClientSession, agent_url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._agent_url = agent_url
        self._clock = clock
        #: None while it is protected.
        self._free_since: float | None = -math.inf
        self._stretch_since = self._asked = -math.inf

    async def keep(self, is_busy: Callable[[], bool]) -> None:
        """Protect the task while it is busy, and let go of it when it is not; until cancelled."""
        while self._agent_url:
            await self.look(is_busy=is_busy())
            await asyncio.sleep(_PROTECTION_LOOK_S)

    async def look(self, *, is_busy: bool) -> None:
        """Protect the task, let go of it, or leave it as it is."""
        now = self._clock()
        if self._free_since is None:
            if not is_busy or now - self._stretch_since >= _STRETCH_S:
                await self._ask({"ProtectionEnabled": False})
                self._free_since = now
            elif now - self._asked > _PROTECT_AGAIN_S:
                await self._protect(now)
        elif is_busy:
            if now - self._free_since >= _LAPSE_S:
                self._stretch_since = now
            if now - self._stretch_since < _STRETCH_S:
                await self._protect(now)

    async def _protect(self, now: float) -> None:
        await self._ask({"ProtectionEnabled": True, "ExpiresInMinutes": _PROTECTED_MINUTES})
        self._free_since, self._asked = None, now

    async def _ask(self, body: dict[str, object]) -> None:
        try:
            async with self._http.put(
                f"{self._agent_url}/task-protection/v1/state", json=body, timeout=_TIMEOUT, raise_for_status=True
            ):
                pass
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the task's protection was not changed", reason=str(error))
