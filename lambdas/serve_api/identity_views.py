"""The shapes in which the IdentityLens app is answered: its old server's keys, all of them, and the task's id."""

from pydantic import Field

from backlot.errors import BacklotError, TimedOut
from backlot.identity_errors import identity_error
from backlot.operations.identity_portrait import SPEED
from backlot.tasks import Status, Task
from backlot.views import View

#: How long a portrait takes, seconds: what `progress` is reckoned by, which nobody measures.
TYPICAL_S = 20.0

#: What the old server called the models of the modes.
_MODELS = {SPEED: "flux-schnell"}
_OTHER_MODEL = "flux-dev"


class IdentityErrorView(View):
    """An error of the app's catalogue."""

    code: int
    message: str
    action: str
    retry: bool


class GenerateAnswer(View):
    """Answer of `POST /api/generate`; errors are answered with HTTP 200 as well."""

    success: bool
    image_url: str | None = None
    image_base64: str | None = None
    inference_time: float = Field(0.0, description="Seconds.")
    model_version: str = ""
    seed: int = -1
    error: IdentityErrorView | None = None
    task_id: str | None = Field(None, description="Reads the task at `/api/status/{id}` and `/api/v1/tasks/{id}`.")

    @classmethod
    def of(cls, task: Task, language: str) -> "GenerateAnswer":
        """Describe a task; one that has not ended is answered as one that took too long, with its id."""
        if task.status is not Status.COMPLETED:
            return cls.refused(task.error or TimedOut, language, task=task)
        seeds = [step.detail.get("seed") for step in task.steps]
        variants = [f"flux-{step.detail['variant']}" for step in task.steps if "variant" in step.detail]
        return cls(
            success=True,
            image_url=task.result_url,
            inference_time=round(sum(step.timings.provider_s for step in task.steps), 3),
            # The own route has one model for all modes, and says which.
            model_version=next(iter(variants), _MODELS.get(str(task.request.get("mode")), _OTHER_MODEL)),
            seed=next((seed for seed in reversed(seeds) if isinstance(seed, int)), -1),
            task_id=task.task_id,
        )

    @classmethod
    def refused(
        cls, error: type[BacklotError], language: str, *, task: Task | None = None, problem: object = None
    ) -> "GenerateAnswer":
        """Describe an error."""
        began_ms = task and (task.started_ms or task.created_ms)
        ended_ms = task and (task.completed_ms or task.updated_at * 1000)
        return cls(
            success=False,
            inference_time=max(ended_ms - began_ms, 0) / 1000 if began_ms and ended_ms else 0.0,
            error=IdentityErrorView.model_validate(identity_error(error, problem).answer(language)),
            task_id=task.task_id if task else None,
        )


class StatusAnswer(View):
    """Answer of `GET /api/status/{id}`."""

    status: str = Field(description="`pending`, `processing`, `completed` or `failed`.")
    progress: float = Field(ge=0, le=1)
    result: GenerateAnswer | None

    @classmethod
    def of(cls, task: Task, language: str, now_ms: int) -> "StatusAnswer":
        """Describe a task; a cancelled one has failed, as far as the app knows."""
        ended = task.status.is_final
        return cls(
            status=Status.FAILED if task.status is Status.CANCELLED else task.status,
            progress=1.0 if ended else _progress(task, now_ms),
            result=GenerateAnswer.of(task, language) if ended else None,
        )


def _progress(task: Task, now_ms: int) -> float:
    if task.started_ms is None:
        return 0.0
    return round(min(0.05 + (now_ms - task.started_ms) / 1000 / TYPICAL_S, 0.95), 2)
