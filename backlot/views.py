"""The shapes in which tasks are answered: the replaced servers' keys, nulls included, and ours beside them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from backlot.errors import BacklotError
from backlot.tasks import (
    CostItem,
    Delivery,
    FailedImage,
    MadeFile,
    MadeImage,
    Progress,
    Status,
    StepOutput,
    StepTimings,
    Task,
)


class View(BaseModel):
    """Base of the answers; their models are built when they are first used."""

    model_config = ConfigDict(defer_build=True)


class ErrorDetail(View):
    """What went wrong, for people and programs."""

    code: str = Field(description="Stable name of the error.", examples=["NO_FACE_FOUND"])
    message: str = Field(description="What happened, in one sentence.")
    remedy: str = Field(description="What to do about it.")
    retry: bool = Field(description="Whether the same request may succeed later.")

    @classmethod
    def of(cls, error: type[BacklotError], message: str) -> "ErrorDetail":
        """Describe an error of the tree."""
        return cls(code=error.code(), message=message, remedy=error.remedy, retry=error.retry)


class ErrorAnswer(View):
    """An error, with `detail` as the replaced servers sent it."""

    detail: str
    error: ErrorDetail


class ValidationProblem(View):
    """One problem of a request's body."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class ValidationAnswer(View):
    """All problems of a request's body."""

    detail: list[ValidationProblem]


class StepView(View):
    """A step that was done."""

    step: str
    result_url: str
    provider: str
    model: str
    cost_usd: float
    cost: list[CostItem]
    timings: StepTimings
    detail: dict[str, Any]


class ResultView(View):
    """What a completed task made."""

    result_url: str
    width: int | None = Field(description="Pixels; null if it is no picture.")
    height: int | None = Field(description="Pixels; null if it is no picture.")
    content_type: str
    images: list[MadeImage | FailedImage] = Field(
        description="Every picture in the provider's order; the first that was made is also described beside this."
    )
    files: list[MadeFile] = Field(description="Videos, animations and sounds.")
    provider: str
    model: str
    cost_usd: float = Field(description="What the providers charged for all steps, US dollars.")
    steps: list[StepView]

    @classmethod
    def of(cls, task: Task, steps: list[StepOutput]) -> "ResultView":
        """Describe a completed task's result: that of its last step."""
        last = steps[-1]
        return cls(
            result_url=last.result_url,
            width=last.width,
            height=last.height,
            content_type=last.content_type,
            images=last.images,
            files=last.files,
            provider=last.provider,
            model=last.model,
            cost_usd=task.cost_usd or 0.0,
            steps=[StepView.model_validate(step.model_dump()) for step in steps],
        )


class TaskTimings(View):
    """Where a task's time went, in seconds; null for what has not happened yet."""

    queued_s: float | None = Field(description="From the submission until a worker took the task.")
    processing_s: float | None = Field(description="From then until it ended.")
    steps: dict[str, StepTimings] = Field(description="By step.")

    @classmethod
    def of(cls, task: Task) -> "TaskTimings":
        """Describe a task's times."""
        queued = task.started_ms - task.created_ms if task.started_ms else None
        processing = task.completed_ms - task.started_ms if task.completed_ms and task.started_ms else None
        return cls(
            queued_s=None if queued is None else queued / 1000,
            processing_s=None if processing is None else processing / 1000,
            steps={step.step: step.timings for step in task.steps},
        )


class _NewKeys(View):
    """What our answers have beside the replaced servers' keys."""

    operation: str
    result: ResultView | None
    error_detail: ErrorDetail | None
    progress: Progress | None = Field(description="How far a task on a GPU or at a large model is; null if unknown.")
    timings: TaskTimings
    cost_usd: float | None = Field(description="What the providers have charged so far, US dollars.")
    cost: list[CostItem] = Field(description="The same, item by item.")
    expires_at: int = Field(description="When the task's record may be deleted, Unix seconds.")
    callback_url: str | None
    deliveries: list[Delivery] = Field(description="The attempts to deliver the webhook, the first one first.")


class TaskView(_NewKeys):
    """A task as `GET /api/v1/tasks/{id}` answers it."""

    task_id: str
    status: Status
    job_type: str
    result_url: str | None
    error_message: str | None
    created_at: int = Field(description="Unix seconds.")
    updated_at: int = Field(description="Unix seconds.")

    @classmethod
    def of(cls, task: Task) -> "TaskView":
        """Describe a task."""
        return cls(
            task_id=task.task_id,
            status=task.status,
            job_type=task.job_type,
            result_url=task.result_url,
            error_message=task.public_error_message,
            created_at=task.created_at,
            updated_at=task.updated_at,
            **_new_keys(task),
        )


class TaskEvent(View):
    """What a webhook carries."""

    type: str = Field(examples=["task.completed"])
    timestamp: datetime = Field(description="When the task ended.")
    data: TaskView

    @classmethod
    def of(cls, task: Task, ended: datetime) -> "TaskEvent":
        """Describe the end of a task."""
        return cls(type=f"task.{task.status}", timestamp=ended, data=TaskView.of(task))


class SigningSecret(View):
    """With what the webhooks of an API key are signed."""

    secret: str = Field(description="As libraries of Standard Webhooks take it: `whsec_…`.")


class UploadForm(View):
    """A form with which a client puts an image into the bucket: POST it as multipart/form-data, the file last."""

    url: str = Field(description="Where the form is posted to.")
    fields: dict[str, str] = Field(description="The form's fields; the image comes behind them as `file`.")
    image_url: str = Field(description="What to write into image fields of requests once the upload is done.")
    expires_at: int = Field(description="Until when the form is accepted, Unix seconds.")


class AcceptedMasks(View):
    """Answer of `POST /process`, as the mask component gave it."""

    status: str = "accepted"
    queued: bool = True
    job_id: str = Field(description="The client's own id of the masks.")
    message: str = "Job added to Qwen mask queue"
    task_id: str = Field(description="What to read the task by.")


class ComponentStats(View):
    """Answer of `GET /stats`, as the mask component gave it."""

    queue_max: int = Field(description="How many tasks may wait or run at once.")
    queue_current: int = Field(description="How many do.")
    workers: int = Field(description="How many tasks the running instances work on at once.")
    jobs_processed: int = Field(description="Tasks that were completed.")
    uptime_sec: int = Field(description="Since the model's endpoint was made.")


class TaskPage(View):
    """A page of the caller's tasks, newest first."""

    tasks: list[TaskView]
    next_cursor: str | None = Field(description="Where the next page begins; null behind the last one.")


#: The replaced GPU server's name of `result_url`.
ResultS3Uri = Annotated[str | None, Field(description="The same URL; it never was an s3:// one.")]


class JobView(_NewKeys):
    """A task as `GET /api/v1/jobs/{id}` answers it."""

    job_id: str
    status: Status
    result_url: str | None
    result_s3_uri: ResultS3Uri
    error: str | None

    @classmethod
    def of(cls, task: Task) -> "JobView":
        """Describe a task."""
        return cls(
            job_id=task.task_id,
            status=task.status,
            result_url=task.result_url,
            result_s3_uri=task.result_url,
            error=task.public_error_message,
            **_new_keys(task),
        )


class SubmittedJob(View):
    """Answer of `POST …/jobs`."""

    job_id: str
    status: Status
    result_url: str | None
    result_s3_uri: ResultS3Uri
    error: str | None


class SubmittedTask(SubmittedJob):
    """Answer of `POST …/tasks`: two of the replaced servers shared paths, so it has the keys of both."""

    task_id: str
    message: str


def _new_keys(task: Task) -> dict[str, Any]:
    error = task.error
    return {
        "operation": task.operation,
        "result": ResultView.of(task, task.steps) if task.status is Status.COMPLETED and task.steps else None,
        "error_detail": ErrorDetail.of(error, task.public_error_message or "") if error else None,
        "progress": _progress(task),
        "timings": TaskTimings.of(task),
        "cost_usd": task.cost_usd,
        "cost": [item for step in task.steps for item in step.cost],
        "expires_at": task.expires_at,
        "callback_url": task.callback_url,
        "deliveries": task.deliveries,
    }


def _progress(task: Task) -> Progress | None:
    """Return how far a task is: its worker says nothing after the last node, so that the end is known by the status."""
    if task.progress is None or task.status is not Status.COMPLETED:
        return task.progress
    return Progress(value=1.0, preview_url=task.progress.preview_url, at_ms=task.completed_ms or task.progress.at_ms)
