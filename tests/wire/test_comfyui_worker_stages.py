"""How the jobs of the GPU lane's worker overlap, and how they are stopped."""

import asyncio

import pytest

from containers.comfyui.worker.delivery import while_guarded
from containers.comfyui.worker.stages import Stage, Stages


def test_stage_has_room_for_one_and_is_left_for_the_next():
    async def scenario() -> None:
        stages = Stages()
        first, second = stages.place(), stages.place()
        await first.enter(Stage.FETCHING)
        waiting = asyncio.create_task(second.enter(Stage.FETCHING))
        await asyncio.sleep(0)
        assert (first.stage, second.stage) == (Stage.FETCHING, None)
        await first.enter(Stage.RUNNING)
        await waiting
        assert (first.stage, second.stage) == (Stage.RUNNING, Stage.FETCHING)
        first.leave()
        first.leave()
        await second.enter(Stage.RUNNING)

    asyncio.run(scenario())


def test_guard_that_raises_stops_the_work_and_waits_for_its_end():
    told = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append("ended")

    async def guard() -> None:
        await asyncio.sleep(0)
        raise ValueError("stop")

    async def other_guard() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("guard ended")

    with pytest.raises(ValueError, match="stop"):
        asyncio.run(while_guarded(work(), guard(), other_guard()))
    assert told == ["ended", "guard ended"]


def test_work_that_ends_by_itself_counts():
    async def work() -> int:
        return 7

    async def broken() -> int:
        raise KeyError("mine")

    async def guard() -> None:
        await asyncio.Event().wait()

    assert asyncio.run(while_guarded(work(), guard())) == 7
    with pytest.raises(KeyError, match="mine"):
        asyncio.run(while_guarded(broken(), guard()))
