"""The way of one message, from its receipt to the answer of its token.

What is done is noted before it is told, and told before the message is deleted, so that whoever gets the message again
after a crash finds what is left to do:

    died before            what the next delivery finds, once the lease is over
    ledger.done            the step is free: it is run again, and writes the same objects
    the token's answer     the step is done: its output answers the token
    the message's end      the step is done: the token is closed, the message is deleted

A message that has to go on later is sent again under the next turn before the step is given back.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Never, TypeVar

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from backlot.aws.clients import AWS_ERRORS
from backlot.aws.deliveries import FIRST_RETRY_S
from backlot.aws.sqs import Message
from backlot.comfyui.graphs import RUN_WORKFLOW
from backlot.errors import BacklotError, Cancelled, ComfyuiCrashed, Unexpected
from backlot.steps import Claimed, Done, Ended, Held, Holder, LeaseLost, Overtaken, Stopwatch
from backlot.tasks import StepOutput, Task
from backlot.work_items import WorkItem
from containers.comfyui.worker.lane import Lane
from containers.comfyui.worker.lease import Lease
from containers.comfyui.worker.report import Report
from containers.comfyui.worker.stages import Place
from containers.comfyui.worker.work import ComfyuiDied, GivenBack, Work

#: How often ComfyUI may die with one attempt before nobody tries it again.
MAX_CRASHES = 3

#: A message that is sent again is seen after this time, seconds: whoever saw it before its step is given back would
#: have to wait for the whole lease.
_AGAIN_S = 1

logger = Logger()

T = TypeVar("T")


class Delivery:
    """One message.

    Args:
        message: as it was received.
        place: in stage FETCHING.
        lane: the ports.
        work: does what messages ask for.
        lease_s: how long the message is ours without a renewal, seconds.
    """

    def __init__(self, message: Message, place: Place, *, lane: Lane, work: Work, lease_s: int) -> None:
        self.place = place
        self._message = message
        self._lane = lane
        self._work = work
        self._lease_s = lease_s
        self._received_ms = lane.clock()
        self._stopped = asyncio.Event()
        self._item: WorkItem | None = None

    @property
    def task_id(self) -> str | None:
        """The task that it is about; None before it was read."""
        return self._item.task_id if self._item else None

    def give_back(self) -> None:
        """Stop what is done for the message, and let it go on elsewhere."""
        self._stopped.set()

    async def deal(self) -> None:
        """Do what the message asks for, or let it come back later."""
        item, problems = _read(self._message.body)
        if item is None:
            # Nobody can read it: it comes back until the queue puts it to the dead letters, for a person.
            logger.error("a message is no work item", message_id=self._message.message_id, problems=problems)
            await self._come_back()
            return
        self._item = item
        logger.thread_safe_append_keys(task_id=item.task_id, operation=item.operation, attempt=item.attempt)
        holder = Holder(item.task_id, item.step, item.attempt, item.turn, f"{self._message.message_id}/{uuid.uuid4()}")
        try:
            await self._deal(item, holder)
        except LeaseLost:
            logger.warning("another worker has taken the step")
        except Exception:
            logger.exception("message given back", receives=self._message.receives)
            with suppress(LeaseLost, *AWS_ERRORS):
                await asyncio.to_thread(self._lane.ledger.release, holder)
            await self._come_back()

    async def _deal(self, item: WorkItem, holder: Holder) -> None:
        lane = self._lane
        task = await asyncio.to_thread(lane.tasks.start, item.task_id, self._received_ms)
        if task is None:
            # It was cancelled, or its execution is over and does not hear this any more.
            await self._fail(item, Cancelled.__name__, Cancelled.sentence)
            return
        claim = await asyncio.to_thread(
            lane.ledger.claim, holder, now_ms=self._received_ms, lease_ms=self._lease_s * 1000
        )
        match claim:
            case Claimed() if item.step == RUN_WORKFLOW:
                await self._do(item, holder, task)
            case Held(until_ms=until_ms):
                await self._wait_for(item, until_ms)
            case Done(output=output):
                await self._succeed(item, output)
            case Ended(error_name=name, error_message=message):
                await self._fail(item, name, message)
            case Overtaken():
                await self._delete()
            case _:
                await self._end(item, holder, Unexpected())

    async def _do(self, item: WorkItem, holder: Holder, task: Task) -> None:
        lane, watch = self._lane, Stopwatch()
        report = Report(
            task,
            tasks=lane.tasks,
            notes=lane.progress,
            objects=lane.objects,
            images=lane.images,
            clock=lane.clock,
        )
        lease = Lease(
            holder,
            self._message.receipt_handle,
            self._lease_s,
            ledger=lane.ledger,
            queue=lane.queue,
            clock=lane.clock,
        )
        work = self._work.make(item, place=self.place, report=report, watch=watch)
        try:
            output = await while_guarded(work, lease.keep(), report.tell(), self._until_stopped())
        except GivenBack as reason:
            logger.info("work given back", reason=str(reason))
            await self._send_again(item, holder, crashes=item.crashes)
        except ComfyuiDied as died:
            crashes = item.crashes + 1
            logger.warning("ComfyUI died with a graph", reason=str(died), crashes=crashes)
            if crashes < MAX_CRASHES:
                await self._send_again(item, holder, crashes=crashes)
            else:
                await self._end(item, holder, ComfyuiCrashed(times=crashes))
        except BacklotError as error:
            await self._end(item, holder, error)
        else:
            output = self._timed(item, output, watch)
            await asyncio.to_thread(lane.ledger.done, holder, output)
            await self._succeed(item, output)

    async def _until_stopped(self) -> Never:
        await self._stopped.wait()
        raise GivenBack("the worker ends")

    def _timed(self, item: WorkItem, output: StepOutput, watch: Stopwatch) -> StepOutput:
        first_sent_ms = item.first_sent_ms or self._message.sent_ms
        timings = watch.timings().model_copy(
            update={
                "queued_s": max(self._received_ms - first_sent_ms, 0) / 1000,
                "processing_s": (self._lane.clock() - self._received_ms) / 1000,
            }
        )
        return output.model_copy(update={"timings": timings})

    async def _wait_for(self, item: WorkItem, until_ms: int) -> None:
        """Let the message come again when the lease of whoever is at work ends.

        It is sent again: one that was only hidden would be a dead letter before a long graph has ended.
        """
        wait_s = max(until_ms - self._lane.clock(), 0) // 1000 + 1
        copy = item.model_copy(update={"first_sent_ms": item.first_sent_ms or self._message.sent_ms})
        await asyncio.to_thread(self._lane.queue.send, copy, delay_s=wait_s)
        await self._delete()

    async def _send_again(self, item: WorkItem, holder: Holder, *, crashes: int) -> None:
        """Send the message again under its next turn, and only then give the step back, so that it is never lost."""
        again = item.again(self._message.sent_ms, crashes=crashes)
        await asyncio.to_thread(self._lane.queue.send, again, delay_s=_AGAIN_S)
        with suppress(LeaseLost):
            await asyncio.to_thread(self._lane.ledger.put_off, holder, slot_ms=self._lane.clock(), item=again)
        await self._delete()

    async def _end(self, item: WorkItem, holder: Holder, error: BacklotError) -> None:
        await asyncio.to_thread(self._lane.ledger.ended, holder, type(error).__name__, str(error))
        await self._fail(item, type(error).__name__, str(error))

    async def _fail(self, item: WorkItem, name: str, message: str) -> None:
        await asyncio.to_thread(self._lane.tokens.fail, item.task_token, name, message)
        logger.info("step failed", error=name)
        await self._delete()

    async def _succeed(self, item: WorkItem, output: StepOutput) -> None:
        await asyncio.to_thread(self._lane.tokens.succeed, item.task_token, output.model_dump(mode="json"))
        logger.info("step done", **output.timings.model_dump())
        await self._delete()

    async def _delete(self) -> None:
        await asyncio.to_thread(self._lane.queue.delete, self._message.receipt_handle)

    async def _come_back(self) -> None:
        with suppress(*AWS_ERRORS):
            await self._delay(FIRST_RETRY_S * 2 ** max(self._message.receives - 1, 0))

    async def _delay(self, seconds: int) -> None:
        await asyncio.to_thread(self._lane.queue.delay, self._message.receipt_handle, seconds)


def _read(body: str) -> tuple[WorkItem | None, list[Any]]:
    """Return a message's item, or what is wrong with it; never what it says, which may be a token."""
    try:
        return WorkItem.model_validate_json(body), []
    except ValidationError as error:
        return None, list(error.errors(include_url=False, include_context=False, include_input=False))


async def while_guarded(work: Coroutine[Any, Any, T], *guards: Coroutine[Any, Any, None]) -> T:
    """Do work, and stop it as soon as a guard raises.

    Returns:
        What the work returns.

    Raises:
        Exception: what the work raises, or the guard that stopped it.
    """
    working = asyncio.create_task(work)
    watching = [asyncio.create_task(guard) for guard in guards]
    try:
        await asyncio.wait({working, *watching}, return_when=asyncio.FIRST_COMPLETED)
        stopped_by = None if working.done() else next(task for task in watching if task.done())
    finally:
        # The guards go on while the work comes to its end.
        for tasks in ([working], watching):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if stopped_by is not None:
        stopped_by.result()
    return working.result()
