"""Follows a request that runs: how far it is goes to an object in S3, and another object there cancels it.

A container of SageMaker's asynchronous inference has no other way to its caller before it answers: nothing can reach it
while it works, and of all services it may use S3 and the log only.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sagemaker_models.serving.errors import InvocationError, RequestFault
from sagemaker_models.serving.metrics import log
from sagemaker_models.serving.model import Cancelled, File
from sagemaker_models.serving.request import Invocation
from sagemaker_models.serving.storage import Storage

#: The objects are written and looked for at most this often, seconds.
LOOK_S = 1.0

#: Runs a call in a thread.
InThread = Callable[..., Awaitable[Any]]


class Watch:
    """One request's progress and its cancellation; the model only sets a number and reads a flag.

    Args:
        invocation: its `progress` and `cancel` name the objects, if it has them.
        storage: where they lie.
        in_thread: runs calls of the storage.
    """

    def __init__(self, invocation: Invocation, storage: Storage, in_thread: InThread) -> None:
        self._invocation = invocation
        self._storage = storage
        self._in_thread = in_thread
        self._share: float | None = None
        self._told: float | None = None
        self._cancelled = False
        self._complained = False

    def progress(self, share: float) -> None:
        """Note how much is done; for the model, in its thread.

        Raises:
            Cancelled: nobody wants the rest.
        """
        self._share = round(min(1.0, max(0.0, share)), 3)
        if self._cancelled:
            raise Cancelled

    async def check(self) -> None:
        """Look once whether the request is still wanted.

        Raises:
            RequestFault: it was cancelled.
        """
        await self._look()
        if self._cancelled:
            raise RequestFault("Cancelled", str(Cancelled()))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Write the progress and look for the cancellation until the block ends."""
        wanted = self._invocation.progress or self._invocation.cancel
        follower = asyncio.create_task(self._follow()) if wanted else None
        try:
            yield
        finally:
            if follower is not None:
                follower.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look()
            await self._tell()

    async def _look(self) -> None:
        uri = self._invocation.cancel
        if uri is not None and not self._cancelled:
            self._cancelled = bool(await self._quietly(self._storage.exists, uri))

    async def _tell(self) -> None:
        uri, share = self._invocation.progress, self._share
        if uri is not None and share != self._told:
            body = json.dumps({"id": self._invocation.id, "progress": share}).encode()
            await self._quietly(self._storage.store, uri, File(body, "application/json"), "no-store")
            self._told = share

    async def _quietly(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call the storage; None if that fails, for the request itself must not fail with it."""
        try:
            return await self._in_thread(call, *arguments)
        except InvocationError as error:
            if not self._complained:
                log("WARNING", "a request cannot be followed", id=self._invocation.id, reason=str(error))
            self._complained = True
            return None
