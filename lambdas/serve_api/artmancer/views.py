"""The shapes in which clients of the ArtMancer server are answered: its keys, all of them, and ours beside them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from backlot.tasks import Status, Task
from backlot.views import View

#: The old server's states of a task, and how far each one is at its beginning.
QUEUED, STARTING, LOADING, PROCESSING, DONE, ERROR, CANCELLED = (
    "queued",
    "initializing_h100",
    "loading_pipeline",
    "processing",
    "done",
    "error",
    "cancelled",
)
FINAL = (DONE, ERROR, CANCELLED)
_BEGINS = {QUEUED: 0.0, STARTING: 0.1, LOADING: 0.2, DONE: 1.0}

_MESSAGES = {
    QUEUED: "Waiting in the queue",
    STARTING: "Starting a GPU instance",
    LOADING: "Loading the model",
    PROCESSING: "Editing the picture",
}

_OUT_OF_MEMORY = re.compile(r"out ?of ?memory", re.IGNORECASE)

#: Whether no instance of the model runs; asked only where it matters.
IsCold = Callable[[], bool]


class OldError(View):
    """A refusal in the old server's words."""

    detail: str


class SubmittedEdit(View):
    """Answer of `POST /api/generate/async`."""

    task_id: str
    status: str = QUEUED
    message: str = "Generation job submitted successfully"
    warnings: list[str] = Field(description="What of the request has no effect, and why.")


class CancelledEdit(View):
    """Answer of `POST /api/generate/async/cancel/{id}`."""

    success: bool
    message: str
    task_id: str


class EditStatus(View):
    """Answer of `GET /api/generate/status/{id}`, and an event of the streams."""

    task_id: str
    status: str = Field(description=", ".join(f"`{status}`" for status in (*_MESSAGES, *FINAL)) + ".")
    progress: float = Field(ge=0, le=1)
    current_step: int | None
    total_steps: int | None
    error: str | None
    loading_message: str | None

    @classmethod
    def of(cls, task: Task, is_cold: IsCold) -> "EditStatus":
        """Describe a task."""
        status = old_status(task, is_cold)
        steps, done = None, None
        progress = _BEGINS.get(status, 0.0)
        if status == PROCESSING and task.progress is not None:
            steps = int(task.request["num_inference_steps"])
            done = round(task.progress.value * steps)
            progress = _BEGINS[LOADING] + (1 - _BEGINS[LOADING]) * task.progress.value
        return cls(
            task_id=task.task_id,
            status=status,
            progress=round(progress, 3),
            current_step=done,
            total_steps=steps,
            error=said(task),
            loading_message=_MESSAGES.get(status),
        )


class DebugInfo(View):
    """What a request with `debug` gets to see of the work; null for what was not asked for or is not there."""

    conditional_images: list[str] = Field(description="base64.")
    conditional_labels: list[str]
    input_image_size: str
    output_image_size: str
    lora_adapter: str | None
    loaded_adapters: list[str]
    positioned_mask_R: str | None = None  # noqa: N815 - the client's name
    original_image: str | None = None
    mask_A: str | None = None  # noqa: N815 - the client's name
    reference_image: str | None = None
    reference_mask_R: str | None = None  # noqa: N815 - the client's name
    mask_mae_dilated: str | None = None
    original_prompt: str
    refined_prompt: str
    prompt_was_refined: bool
    session_name: str = Field(description="Names the session at `/api/debug/sessions/{name}`.")
    debug_path: str

    @classmethod
    def of(cls, task: Task, kept: dict[str, Any], images: list[str]) -> "DebugInfo":
        """Describe what a completed task has kept.

        Args:
            kept: `debug` of its step's detail.
            images: its conditional images in base64, as many as fit.
        """
        told = details(task)
        original, refined = task.request["prompt"], told.get("prompt", task.request["prompt"])
        size = f"{task.steps[-1].width}x{task.steps[-1].height}"
        name = kept["prefix"].rstrip("/").rpartition("/")[2]
        return cls(
            conditional_images=images,
            conditional_labels=kept["labels"],
            input_image_size=size,
            output_image_size=size,
            lora_adapter=told.get("lora_adapter"),
            loaded_adapters=told.get("loaded_adapters") or [],
            original_prompt=original,
            refined_prompt=refined,
            prompt_was_refined=original != refined,
            session_name=name,
            debug_path=f"/api/debug/sessions/{name}",
        )


class EditAnswer(View):
    """Answer of `POST /api/generate` to a masked edit: the edited picture, or with 202 the task that makes it."""

    success: bool
    image: str | None = Field(description="base64 of the PNG; of a JPEG if it were too long, see `warnings`.")
    generation_time: float = Field(description="Seconds.")
    model_used: str
    parameters_used: dict[str, str | float | int | None]
    request_id: str
    debug_info: DebugInfo | None
    task_id: str = Field(description="Reads the task at `/api/generate/status/{id}` and `/api/v1/tasks/{id}`.")
    status: str
    message: str
    status_url: str = Field(description="Relative to this route's folder.")
    image_url: str | None = Field(description="The PNG.")
    warnings: list[str]

    @classmethod
    def of(
        cls, task: Task, is_cold: IsCold, *, image: str | None, debug_info: DebugInfo | None, warnings: list[str]
    ) -> "EditAnswer":
        """Describe a task that is completed, or not yet."""
        done = task.status is Status.COMPLETED
        status = old_status(task, is_cold)
        return cls(
            success=done,
            image=image,
            generation_time=generation_time_s(task),
            model_used=f"qwen_local_{task.request['task']}",
            parameters_used=parameters_used(task),
            request_id=request_id(task),
            debug_info=debug_info,
            task_id=task.task_id,
            status=status,
            message="The picture is edited" if done else f"{_MESSAGES.get(status, status)}; the task goes on",
            status_url=f"generate/status/{task.task_id}",
            image_url=task.result_url,
            warnings=warnings,
        )


class EditResult(View):
    """Answer of `GET /api/generate/result/{id}`."""

    task_id: str
    status: str = DONE
    image: str = Field(description="base64 of the PNG; of a JPEG if it were too long, see `warnings`.")
    debug_info: DebugInfo | None
    image_url: str | None = Field(description="The PNG.")
    warnings: list[str]


class MultiResult(View):
    """One of the pictures of `POST /api/generate/multi-steps`."""

    step: int
    task_id: str
    image: str | None = None
    path: str | None = Field(None, description="The PNG's URL.")
    request_id: str | None = None
    debug_info: DebugInfo | None = None
    error: str | None = Field(description="Why there is no picture, or not yet.")
    warnings: list[str] = Field(default=[])


class MultiResults(View):
    """Answer of `POST /api/generate/multi-steps`: each number of steps is a task of its own."""

    base_request_id: str
    steps: list[int]
    results: list[MultiResult]


def old_status(task: Task, is_cold: IsCold) -> str:
    """Return the old server's word for a task's state."""
    match task.status:
        case Status.COMPLETED:
            return DONE
        case Status.FAILED:
            return ERROR
        case Status.CANCELLED:
            return CANCELLED
        case Status.PENDING:
            return QUEUED
    if task.progress is not None:
        return PROCESSING
    return STARTING if is_cold() else LOADING


def said(task: Task) -> str | None:
    """Return what went wrong, in words that the old client knows where it compares them."""
    message = task.public_error_message
    if message and _OUT_OF_MEMORY.search(message) and "out of memory" not in message.lower():
        return f"Out of memory: {message}"
    return message


def generation_time_s(task: Task) -> float:
    """Return how long the work took, seconds; 0 while it goes on."""
    if task.completed_ms is None or task.started_ms is None:
        return 0.0
    return round((task.completed_ms - task.started_ms) / 1000, 2)


def request_id(task: Task) -> str:
    """Return the old server's kind of id, `YYYYMMDD_HHMMSS_ffffff`: the time, at its end digits of the task's id."""
    moment = datetime.fromtimestamp(task.created_ms / 1000, UTC)
    return f"{moment:%Y%m%d_%H%M%S}_{task.created_ms % 1000:03d}{int(task.task_id[:8], 16) % 1000:03d}"


def details(task: Task) -> dict[str, Any]:
    """Return what the model said of its work; empty before it has."""
    return task.steps[-1].detail if task.steps else {}


def parameters_used(task: Task) -> dict[str, str | float | int | None]:
    """Return what the picture was made with: what was asked, and what the model says where it knows better."""
    asked, told = task.request, details(task)
    made = task.steps[-1].made[0] if task.steps and task.steps[-1].made else None
    true_cfg = told.get("true_cfg", asked["true_cfg_scale"])
    ended = datetime.fromtimestamp((task.completed_ms or task.created_ms) / 1000, UTC)
    return {
        "prompt": told.get("prompt", asked["prompt"]),
        "negative_prompt": told.get("negative_prompt", asked["negative_prompt"]),
        "num_inference_steps": told.get("steps", asked["num_inference_steps"]),
        "guidance_scale": true_cfg,
        "true_cfg_scale": true_cfg,
        "seed": told.get("seed", asked["seed"]),
        "image_size": f"{made.width}x{made.height}" if made else None,
        "generation_time": generation_time_s(task),
        "timestamp": ended.isoformat(timespec="milliseconds"),
        # The old schema had no truth values, so that they arrived as numbers.
        "has_reference_image": 1.0 if asked["reference_url"] else 0.0,
        "task_type": asked["task"],
    }
