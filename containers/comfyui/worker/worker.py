"""The life of the worker: takes messages, keeps the host informed, and ends without losing anything."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from aws_lambda_powertools import Logger

from backlot.aws.clients import AWS_ERRORS
from backlot.aws.cloudwatch import GpuMetrics
from backlot.aws.sqs import Message
from backlot.comfyui.client import UnexpectedAnswer, Unreachable
from containers.comfyui.worker.busy import BusyShare
from containers.comfyui.worker.comfyui import Comfyui
from containers.comfyui.worker.delivery import Delivery
from containers.comfyui.worker.host import SpotNotice, TaskProtection
from containers.comfyui.worker.lane import Lane
from containers.comfyui.worker.lease import MARGIN_S
from containers.comfyui.worker.prompts import Prompts
from containers.comfyui.worker.readiness import Condition
from containers.comfyui.worker.stages import Stage, Stages
from containers.comfyui.worker.tidy import tidy
from containers.comfyui.worker.work import Work

#: Longest wait for a message, seconds: also how long an idle worker takes to end.
_RECEIVE_S = 5

#: Pauses before the queue is asked again when it cannot be reached, seconds.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0

#: How often the fleet is told that this worker is well, and how often the busy share is published, seconds.
_BEAT_S, _SHARE_S = 10.0, 60.0

#: Time to give work back at the end, seconds, and for ComfyUI to let go of it.
_GIVE_BACK_S, _LET_GO_S = 10.0, 1.0

logger = Logger()


class Fleet(Protocol):
    """All workers."""

    def beat(self, now_ms: int) -> int:
        """Note that a worker is well; return when caches were last to be cleared."""


@dataclass(frozen=True)
class Deps:
    """What a worker is made of.

    Args:
        lane: the ports.
        comfyui: beside it.
        prompts: runs graphs there.
        work: does what messages ask for.
        fleet: all workers.
        metrics: of the GPU.
        share: how busy it is.
        spot: the host's end.
        protection: from it.
        comfyui_folder: whose old files are deleted; empty for none.
    """

    lane: Lane
    comfyui: Comfyui
    prompts: Prompts
    work: Work
    fleet: Fleet
    metrics: GpuMetrics
    share: BusyShare
    spot: SpotNotice
    protection: TaskProtection
    comfyui_folder: str


class Worker:
    """Works on a queue until it is told to end.

    Args:
        deps: what it is made of.
        lease_s: how long a message is ours without a renewal, seconds.
        drain_limit_s: how long a running graph may go on at the end, seconds.
    """

    def __init__(self, deps: Deps, *, lease_s: int, drain_limit_s: float) -> None:
        self._deps = deps
        self._lease_s = lease_s
        self._drain_limit_s = drain_limit_s
        self._stages = Stages()
        self._ending = asyncio.Event()
        self._deliveries: dict[asyncio.Task[None], Delivery] = {}

    def end(self, reason: str) -> None:
        """Take no more messages, and let `run` return as soon as nothing is left to do."""
        if not self._ending.is_set():
            logger.info("the worker ends", reason=reason)
            self._ending.set()

    def condition(self) -> Condition:
        """Tell what the worker does."""
        comfyui = self._deps.comfyui
        state = "ready" if comfyui.is_up else "waiting for ComfyUI"
        jobs = [
            {"task_id": delivery.task_id or "", "stage": delivery.place.stage or ""}
            for delivery in self._deliveries.values()
        ]
        is_ready = comfyui.is_up and not self._ending.is_set()
        return Condition(is_ready, "ending" if self._ending.is_set() else state, comfyui.version, jobs)

    async def run(self) -> None:
        """Work until told to end."""
        try:
            await self._run()
        finally:
            await self._deps.comfyui.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(each)
                for each in (
                    self._deps.comfyui.watch(),
                    self._deps.protection.keep(lambda: bool(self._deliveries)),
                    self._look_for_notice(),
                    self._beat(),
                    self._publish_share(),
                    tidy(self._deps.comfyui_folder),
                )
            ]
            feeding = group.create_task(self._feed(group))
            await self._ending.wait()
            await self._drain(feeding)
            for task in beside:
                task.cancel()

    async def _feed(self, group: asyncio.TaskGroup) -> None:
        """Take a message whenever there is room to prepare it."""
        while True:
            place = self._stages.place()
            await self._unless_ending(place.enter(Stage.FETCHING))
            await self._unless_ending(self._deps.comfyui.wait_up())
            if self._ending.is_set():
                place.leave()
                return
            message = await self._receive()
            if message is None:
                place.leave()
                continue
            delivery = Delivery(message, place, lane=self._deps.lane, work=self._deps.work, lease_s=self._lease_s)
            task = group.create_task(self._deal(delivery))
            self._deliveries[task] = delivery
            task.add_done_callback(self._deliveries.pop)
            if self._ending.is_set():
                delivery.give_back()
                return

    async def _deal(self, delivery: Delivery) -> None:
        try:
            await delivery.deal()
        finally:
            delivery.place.leave()

    async def _receive(self) -> Message | None:
        """Wait for a message for a while."""
        pause_s = _FIRST_PAUSE_S
        while not self._ending.is_set():
            try:
                return await asyncio.to_thread(
                    self._deps.lane.queue.receive, wait_s=_RECEIVE_S, hidden_s=self._lease_s + MARGIN_S
                )
            except AWS_ERRORS:
                logger.warning("the queue cannot be reached", exc_info=True)
            await self._unless_ending(asyncio.sleep(pause_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return None

    async def _unless_ending(self, wanted: Awaitable[None]) -> None:
        """Wait for something, or for the end."""
        tasks = {asyncio.ensure_future(wanted), asyncio.ensure_future(self._ending.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _drain(self, feeding: asyncio.Task[None]) -> None:
        """Give back what is not begun, and what does not end within the limit; what is left then has its lease."""
        for delivery in self._deliveries.values():
            if delivery.place.stage is Stage.FETCHING:
                delivery.give_back()
        await asyncio.wait({feeding, *self._deliveries}, timeout=self._drain_limit_s)
        self._deps.prompts.patience_s = _LET_GO_S
        for delivery in self._deliveries.values():
            delivery.give_back()
        _, left = await asyncio.wait({feeding, *self._deliveries}, timeout=_GIVE_BACK_S)
        for task in left:
            logger.error("work is left to its lease", task=str(task))
            task.cancel()

    async def _look_for_notice(self) -> None:
        await self._deps.spot.wait()
        self.end("the spot instance is interrupted")

    async def _beat(self) -> None:
        """Tell that this worker is well, and hear whether ComfyUI is to drop what it keeps."""
        cleared_ms: int | None = None
        while True:
            if self._deps.comfyui.is_up:
                try:
                    wanted_ms = await asyncio.to_thread(self._deps.fleet.beat, self._deps.lane.clock())
                    if cleared_ms is not None and wanted_ms > cleared_ms:
                        await self._deps.comfyui.client.free()
                        logger.info("ComfyUI is told to drop what it keeps")
                    cleared_ms = wanted_ms
                except (*AWS_ERRORS, Unreachable, UnexpectedAnswer):
                    logger.warning("the fleet was not told", exc_info=True)
            await asyncio.sleep(_BEAT_S)

    async def _publish_share(self) -> None:
        while True:
            await asyncio.sleep(_SHARE_S)
            self._deps.metrics.busy(self._deps.share.take())
