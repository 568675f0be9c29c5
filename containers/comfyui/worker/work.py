"""Does what a message asks for: its graph goes through the three stages, and its files are stored."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aws_lambda_powertools import Logger

from backlot.comfyui.client import UnexpectedAnswer, Unreachable
from backlot.comfyui.graphs import RUN_WORKFLOW, Job
from backlot.steps import Stopwatch
from backlot.tasks import StepOutput
from backlot.work_items import WorkItem
from containers.comfyui.worker.comfyui import Comfyui
from containers.comfyui.worker.ends import PromptLost, read_end
from containers.comfyui.worker.following import entry
from containers.comfyui.worker.inputs import Inputs, Prepared
from containers.comfyui.worker.outputs import Outputs, Stored
from containers.comfyui.worker.prompts import Prompts, Ran
from containers.comfyui.worker.report import Report
from containers.comfyui.worker.stages import Place, Stage

#: The provider of results.
PROVIDER = "comfyui"

#: How long a socket that is being opened again is waited for, seconds.
_BACK_S = 5.0

#: The end of a stand-in's version.
_STAND_IN = "+stand-in"

logger = Logger()


class GivenBack(Exception):
    """Somebody else is to do the work, or the same worker later; nothing was wrong with it."""


class ComfyuiDied(Exception):
    """ComfyUI was lost while it had the graph, or before what it made was read."""


class Work:
    """Runs the graphs of messages.

    Args:
        comfyui: that runs them.
        inputs: makes them ready.
        prompts: runs them.
        outputs: stores what they made.
        on_done: told the operation and the seconds on the GPU of each graph that was run to its end.
    """

    def __init__(
        self,
        comfyui: Comfyui,
        *,
        inputs: Inputs,
        prompts: Prompts,
        outputs: Outputs,
        on_done: Callable[[str, float], None],
    ) -> None:
        self._comfyui = comfyui
        self._inputs = inputs
        self._prompts = prompts
        self._outputs = outputs
        self._on_done = on_done

    async def make(self, item: WorkItem, *, place: Place, report: Report, watch: Stopwatch) -> StepOutput:
        """Run a message's graph and store what it makes.

        Args:
            item: the message.
            place: in stage FETCHING; in none afterwards.
            report: told how far the graph is.
            watch: counts where the time goes.

        Raises:
            GivenBack: ComfyUI was lost before it had the graph.
            ComfyuiDied: it was lost afterwards.
            BacklotError: whatever else ends the step.
        """
        try:
            return await self._make(item, place, report, watch)
        finally:
            place.leave()

    async def _make(self, item: WorkItem, place: Place, report: Report, watch: Stopwatch) -> StepOutput:
        prepared = await self._prepare(item, watch)
        await place.enter(Stage.RUNNING)
        if prepared.life != self._comfyui.life or not self._comfyui.is_up:
            # What was uploaded may be gone with the ComfyUI that had it.
            prepared = await self._prepare(item, watch)
        report.begin(prepared.graph, preview=prepared.job.preview)
        try:
            ran = await self._prompts.run(prepared.graph, preview=prepared.job.preview, onlooker=report)
            logger.info("prompt done", prompt_id=ran.prompt_id, prompt_s=round(ran.seconds, 3))
            self._on_done(item.operation, ran.seconds)
            watch.add("provider_s", ran.seconds)
            await place.enter(Stage.STORING)
            with watch.time("store_s"):
                stored = await self._store(item, prepared, ran)
        except (PromptLost, Unreachable) as error:
            raise ComfyuiDied(str(error)) from error
        return self._output(prepared.job, stored, ran)

    async def _prepare(self, item: WorkItem, watch: Stopwatch) -> Prepared:
        try:
            async with asyncio.timeout(_BACK_S):
                await self._comfyui.wait_up()
            with watch.time("fetch_s"):
                return await self._inputs.prepare(item)
        except (Unreachable, TimeoutError) as error:
            raise GivenBack(f"ComfyUI cannot be reached: {error}") from error

    async def _store(self, item: WorkItem, prepared: Prepared, ran: Ran) -> Stored:
        client = self._comfyui.client
        ended = read_end(await entry(client, ran.prompt_id))
        stored = await self._outputs.store(
            ended.outputs, prepared.graph, operation=item.operation, task_id=item.task_id
        )
        with suppress(Unreachable, UnexpectedAnswer):
            await client.forget(ran.prompt_id)
        return stored

    def _output(self, wanted: Job, stored: Stored, ran: Ran) -> StepOutput:
        version = self._comfyui.version
        return StepOutput(
            step=RUN_WORKFLOW,
            images=list(stored.images),
            files=stored.files,
            provider=PROVIDER,
            model=wanted.model,
            cost=[],
            detail={
                "seed": wanted.seed,
                "outputs": stored.outputs,
                "comfyui": version,
                "prompt_s": round(ran.seconds, 3),
            }
            | ({"engine": "stand-in"} if version.endswith(_STAND_IN) else {}),
        )
