"""The three stages of a job, each with room for one, so that the GPU does not wait for the network."""

import asyncio
from enum import StrEnum


class Stage(StrEnum):
    """Where a job is."""

    FETCHING = "fetching"
    RUNNING = "running"
    STORING = "storing"


class Stages:
    """The stages of one worker."""

    def __init__(self) -> None:
        self._rooms = {stage: asyncio.Lock() for stage in Stage}

    def place(self) -> "Place":
        """Return a place that is in no stage yet."""
        return Place(self._rooms)


class Place:
    """A job's place in the stages."""

    def __init__(self, rooms: dict[Stage, asyncio.Lock]) -> None:
        self._rooms = rooms
        self._stage: Stage | None = None

    @property
    def stage(self) -> Stage | None:
        """The stage that it is in; None before the first and after the last."""
        return self._stage

    async def enter(self, stage: Stage) -> None:
        """Wait for room in a stage, and only then leave the one before it."""
        await self._rooms[stage].acquire()
        self.leave()
        self._stage = stage

    def leave(self) -> None:
        """Make room."""
        if self._stage is not None:
            self._rooms[self._stage].release()
            self._stage = None
