"""Gives the model's memory back when an object in S3 says so: nothing else reaches all of an endpoint's instances.

Whoever wants the memory writes the object again, with whatever content; each server notices by itself.
"""

import asyncio

from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.errors import InvocationError
from sagemaker_models.serving.metrics import log
from sagemaker_models.serving.storage import Storage


class Releases:
    """Notices that the object was written; its own times are compared with each other, never with this clock.

    Args:
        uri: of the object; empty if there is none.
        storage: where it lies.
        look_s: between two looks.
    """

    def __init__(self, uri: str, storage: Storage, look_s: float) -> None:
        self._uri = uri
        self._storage = storage
        self._look_s = look_s
        self._is_known = False
        self._seen: str | None = None
        self._has_complained = False

    def is_new(self) -> bool:
        """Tell whether the object was written since the last look; after the first one, nothing is new."""
        if not self._uri:
            return False
        try:
            version = self._storage.version(self._uri)
        except InvocationError as error:
            if not self._has_complained:
                log("WARNING", "releases cannot be looked for", reason=str(error))
            self._has_complained = True
            return False
        is_new = self._is_known and version is not None and version != self._seen
        self._is_known, self._seen, self._has_complained = True, version, False
        return is_new

    async def follow(self, runner: Runner) -> None:
        """Look for ever, and let the model give memory back once nothing runs."""
        while self._uri:
            await asyncio.sleep(self._look_s)
            if await asyncio.to_thread(self.is_new):
                await runner.release()
                log("INFO", "memory was released")
