"""Runs a model: as many calls at a time as are allowed, in threads, with requests that wait put together."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from sagemaker_models.serving.device import is_lost
from sagemaker_models.serving.errors import Busy, InvocationError, ServerFault
from sagemaker_models.serving.memory import give_back, is_out_of_memory
from sagemaker_models.serving.metrics import Timings, log
from sagemaker_models.serving.model import Cancelled, Model, ModelError, Outputs, Request

Answer = Outputs | ModelError | InvocationError


@dataclass
class _Waiting:
    """A request that waits for its run, and where its times are noted."""

    request: Request
    timings: Timings
    answer: "asyncio.Future[Answer]"
    since: float


@dataclass(frozen=True)
class _Failed:
    """A call that raised; the error itself is let go, because its frames hold the memory that a retry needs."""

    message: str
    out_of_memory: bool = False
    device_lost: bool = False


def _ignore() -> None:
    pass


class Runner:
    """Runs requests of one model.

    Args:
        model: that is loaded.
        max_concurrent: calls of `run` at a time.
        batch_wait_s: longest wait for requests that are announced but not here yet.
        on_device_lost: called when the model cannot work in this process any more.
    """

    def __init__(
        self, model: Model, max_concurrent: int, batch_wait_s: float, on_device_lost: Callable[[], None] = _ignore
    ) -> None:
        self._model = model
        self._max_concurrent = max_concurrent
        self._batch_wait_s = batch_wait_s
        self._on_device_lost = on_device_lost
        self._threads = ThreadPoolExecutor(max_concurrent, thread_name_prefix="model")
        self._slots = asyncio.Semaphore(max_concurrent)
        self._alone = asyncio.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._working = 0
        self._announced = 0
        self._arrived = asyncio.Event()

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Let batches know of a request whose inputs are being fetched."""
        self._announced += 1
        try:
            yield
        finally:
            self._announced -= 1
            self._arrived.set()

    async def run(self, request: Request, timings: Timings) -> Answer:
        """Run a request; notes in the timings how long it waited and ran.

        Returns:
            What the model answered; `ServerFault` if it raised, `Busy` if memory was short even after a release.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, timings, answer, time.perf_counter()))
        self._arrived.set()
        if self._working < self._max_concurrent:
            self._working += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await answer

    async def release(self) -> None:
        """Let the model give memory back, once nothing runs."""
        async with self._exclusively():
            await self._release_now()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._work_once()
        finally:
            # Nothing is awaited between the last look at what waits and this line.
            self._working -= 1

    async def _work_once(self) -> None:
        async with self._slots:
            await self._let_others_arrive()
            batch = [self._waiting.popleft() for _ in range(min(self._model.max_batch, len(self._waiting)))]
            if not batch:
                return
            answers = await self._timed(batch)
        await self._settle(batch, answers)

    async def _let_others_arrive(self) -> None:
        """Wait for requests that are announced; one that is alone never waits."""
        deadline = time.perf_counter() + self._batch_wait_s
        while self._announced and 0 < len(self._waiting) < self._model.max_batch:
            left_s = deadline - time.perf_counter()
            if left_s <= 0:
                return
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left_s)
            except TimeoutError:
                return

    async def _settle(self, batch: list[_Waiting], answers: list[Answer] | _Failed) -> None:
        """Give the answers out; after a failure, try once more what may succeed."""
        if isinstance(answers, list):
            _give(batch, answers)
        elif answers.device_lost:
            _give(batch, [_error(answers)] * len(batch))
        elif answers.out_of_memory:
            log("WARNING", "out of memory, released and tried again", ids=[each.request.id for each in batch])
            async with self._exclusively():
                await self._release_now()
                await self._one_by_one(batch)
        elif len(batch) > 1:
            # One bad request must not fail those that happened to be beside it.
            async with self._slots:
                await self._one_by_one(batch)
        else:
            _give(batch, [_error(answers)])

    async def _one_by_one(self, batch: list[_Waiting]) -> None:
        for each in batch:
            answers = await self._timed([each])
            _give([each], answers if isinstance(answers, list) else [_error(answers)])

    async def _timed(self, batch: list[_Waiting]) -> list[Answer] | _Failed:
        began = time.perf_counter()
        requests = [each.request for each in batch]
        answers = await asyncio.get_running_loop().run_in_executor(self._threads, self._call, requests)
        took_s = time.perf_counter() - began
        for each in batch:
            each.timings.queue_s = began - each.since
            each.timings.run_s = took_s
        if isinstance(answers, _Failed) and answers.device_lost:
            self._on_device_lost()
        return answers

    def _call(self, requests: Sequence[Request]) -> list[Answer] | _Failed:
        """Call the model; in a thread."""
        try:
            answers: list[Answer] = [*self._model.run(requests)]
        except Cancelled as error:
            if len(requests) > 1:
                return _Failed(str(error))
            return [ModelError("Cancelled", str(error))]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a model raises, the next request is served
            ids = [request.id for request in requests]
            log("ERROR", "the model raised", error, ids=ids)
            return _Failed(f"{type(error).__name__}: {error}", is_out_of_memory(error), is_lost(error))
        if len(answers) != len(requests) or not all(isinstance(each, Outputs | ModelError) for each in answers):
            return _Failed("the model's answers do not fit its requests")
        return answers

    def _release(self) -> None:
        """Release the model's memory; in a thread."""
        try:
            self._model.release()
        except Exception as error:  # noqa: BLE001 - see _call
            log("ERROR", "the model raised when it was released", error)
        give_back()

    async def _release_now(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._release)

    @asynccontextmanager
    async def _exclusively(self) -> AsyncIterator[None]:
        """Wait until nothing runs, and let nothing begin."""
        async with self._alone:
            taken = 0
            try:
                for _ in range(self._max_concurrent):
                    await self._slots.acquire()
                    taken += 1
                yield
            finally:
                for _ in range(taken):
                    self._slots.release()


def _give(batch: Sequence[_Waiting], answers: Sequence[Answer]) -> None:
    for each, answer in zip(batch, answers, strict=True):
        if not each.answer.done():
            each.answer.set_result(answer)


def _error(failed: _Failed) -> InvocationError:
    if failed.device_lost:
        return Busy("DeviceLost", f"the GPU failed, and the server starts anew: {failed.message}")
    if failed.out_of_memory:
        return Busy("OutOfMemory", "memory is short, even after it was released")
    return ServerFault("ModelFailed", f"the model raised {failed.message}")
