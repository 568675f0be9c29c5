"""One invocation, from the bytes of its body to its answer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sagemaker_models.serving import request as wire
from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.errors import InvocationError, RequestFault, ServerFault
from sagemaker_models.serving.files import FileCache
from sagemaker_models.serving.memory import memory_in_use
from sagemaker_models.serving.metrics import Timings, log, publish
from sagemaker_models.serving.model import File, LocalFile, Model, ModelError, Outputs, Request
from sagemaker_models.serving.storage import Storage
from sagemaker_models.serving.watch import Watch

#: Bodies longer than this are read, decoded and written in a thread, so that the event loop stays free for /ping.
LONG_BYTES = 100_000

#: Transfers from and to S3 at a time.
TRANSFERS = 16

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes


class Invocations:
    """Answers invocations.

    Args:
        model: that is loaded.
        runner: of the model.
        storage: where inputs and outputs lie.
        files: large files that requests name.
        max_input_bytes: longest input.
    """

    def __init__(self, model: Model, runner: Runner, storage: Storage, files: FileCache, max_input_bytes: int) -> None:
        self._model = model
        self._runner = runner
        self._storage = storage
        self._files = files
        self._max_input_bytes = max_input_bytes
        self._transfers = ThreadPoolExecutor(TRANSFERS, thread_name_prefix="transfer")

    async def answer(self, read_body: Callable[[], Any]) -> Answer:
        """Answer one invocation, and publish its metrics.

        Args:
            read_body: awaited for the body; raises `InvocationError` if that is too long.
        """
        timings, known_id = Timings(), ""
        try:
            async with AsyncExitStack() as stack:
                with self._runner.announced():
                    body = await read_body()
                    value = await self._in_thread_if_long(len(body), wire.read, body)
                    known_id = value["id"] if isinstance(value.get("id"), str) else ""
                    if "command" in value:
                        return await self._release(value)
                    asked = wire.check(value, self._model)
                    watch = Watch(asked.invocation, self._storage, self._in_thread)
                    files = await stack.enter_async_context(self._held(asked.invocation, timings))
                    inputs, _ = await asyncio.gather(self._fetch(asked.invocation, timings), watch.check())
                await stack.enter_async_context(watch.following())
                made = await self._run(Request(inputs, asked.parameters, known_id, watch.progress, files), timings)
            outputs = await self._store(asked.invocation, made.files, timings)
            done = {"id": known_id, "outputs": outputs, "values": made.values, **self._signature(timings)}
            answer = Answer(200, await self._in_thread_if_long(_length(outputs), _json, done))
        except InvocationError as error:
            return self._refused(known_id, error, timings)
        except Exception as error:  # noqa: BLE001 - the outermost place; the server serves the next request
            log("ERROR", "an invocation ended unexpectedly", error, id=known_id)
            return self._refused(known_id, ServerFault("Unexpected", f"{type(error).__name__}: {error}"), timings)
        publish(self._model.name, known_id, answer.status, None, timings)
        return answer

    async def _release(self, value: dict[str, Any]) -> Answer:
        wire.check_release(value)
        await self._runner.release()
        return Answer(200, _json({"released": True, "model": self._about()}))

    @asynccontextmanager
    async def _held(self, invocation: wire.Invocation, timings: Timings) -> AsyncIterator[dict[str, LocalFile]]:
        """Have the request's large files on the disk until the block ends."""
        began = time.perf_counter()
        held: dict[str, LocalFile] = {}
        try:
            for name, wanted in invocation.files.items():
                held[name] = await self._in_thread(self._files.hold, name, wanted)
            timings.fetch_s += time.perf_counter() - began
            yield held
        finally:
            for file in held.values():
                self._files.let_go(file)

    async def _fetch(self, invocation: wire.Invocation, timings: Timings) -> dict[str, bytes]:
        began = time.perf_counter()
        try:
            bodies = await asyncio.gather(*(self._input(name, given) for name, given in invocation.inputs.items()))
            return dict(zip(invocation.inputs, bodies, strict=True))
        finally:
            timings.fetch_s += time.perf_counter() - began

    async def _input(self, name: str, given: str | wire.Inline) -> bytes:
        limit = self._max_input_bytes
        if isinstance(given, wire.Inline):
            return await self._in_thread_if_long(len(given.base64), wire.decoded, name, given, limit)
        return await self._in_thread(self._storage.fetch, name, given, limit)

    async def _run(self, request: Request, timings: Timings) -> Outputs:
        answer = await self._runner.run(request, timings)
        if isinstance(answer, Outputs):
            return answer
        if isinstance(answer, ModelError):
            raise RequestFault(answer.code, answer.message)
        raise answer

    async def _store(self, invocation: wire.Invocation, files: dict[str, File], timings: Timings) -> dict[str, Any]:
        began = time.perf_counter()
        expected = (*files, *getattr(self._model, "optional_outputs", ()))
        if unknown := [name for name in invocation.outputs if name not in expected]:
            made = ", ".join(files) or "nothing"
            raise RequestFault("RequestInvalid", f"outputs: {', '.join(unknown)} was not made, but {made}")
        try:
            answers = await asyncio.gather(
                *(self._output(invocation.outputs.get(name), file) for name, file in files.items())
            )
            return dict(zip(files, answers, strict=True))
        finally:
            timings.store_s = time.perf_counter() - began

    async def _output(self, uri: str | None, file: File) -> dict[str, Any]:
        if uri is None:
            return await self._in_thread_if_long(len(file.body), wire.encoded, file)
        return await self._in_thread(self._storage.store, uri, file)

    def _refused(self, known_id: str, error: InvocationError, timings: Timings) -> Answer:
        publish(self._model.name, known_id, error.status, error.code, timings)
        body: dict[str, Any] = {"error": error.body}
        if error.status == RequestFault.status:
            body = {"id": known_id, **body, **self._signature(timings)}
        return Answer(error.status, _json(body))

    def _signature(self, timings: Timings) -> dict[str, Any]:
        return {"model": self._about(), "timings": timings.as_json()}

    def _about(self) -> dict[str, Any]:
        """Return what the model says of itself, and what memory the process has."""
        return {**self._model.describe(), "memory": memory_in_use()}

    async def _in_thread_if_long(self, length_bytes: int, call: Callable[..., _Result], *arguments: Any) -> _Result:
        if length_bytes > LONG_BYTES:
            return await self._in_thread(call, *arguments)
        return call(*arguments)

    async def _in_thread(self, call: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._transfers, call, *arguments)


def _json(value: dict[str, Any]) -> bytes:
    """Write an answer.

    Raises:
        ServerFault: the model's values, or what it says of itself, are not JSON.
    """
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        log("ERROR", "the model's values are not JSON", error)
        raise ServerFault("ModelFailed", f"the model's values are not JSON: {error}") from error


def _length(outputs: dict[str, dict[str, Any]]) -> int:
    return sum(len(output.get("base64", "")) for output in outputs.values())
