"""The task: what a client asked for, and what has become of it, as `task_store` keeps it."""

import base64
import json
import re
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from backlot.errors import BacklotError, Unexpected, error_class

_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Status(StrEnum):
    """A task's state; the first two move on, the others never change."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self not in OPEN


#: States that a task can still leave; the condition of every write that ends one.
OPEN = (Status.PENDING, Status.PROCESSING)


def new_task_id() -> str:
    """Return a fresh task id: a random UUID, which is also the name of the task's execution."""
    return str(uuid.uuid4())


def is_task_id(text: str) -> bool:
    """Tell whether a text has the form of a task id; anything else is not looked up."""
    return _TASK_ID.fullmatch(text) is not None


def parse_execution_name(name: str) -> tuple[str, int]:
    """Return the task id and the number of the retry that an execution's name says."""
    task_id, _, retries = name.partition(".")
    return task_id, int(retries or 0)


def job_type(operation: str) -> str:
    """Return the `job_type` that the servers which Backlot replaces kept for an operation: its jobs path."""
    return f"/api/v1/{operation}/jobs"


class TaskCursor(BaseModel):
    """Where a page of a listing ended: the last task that it looked at."""

    created_ms: int
    task_id: str

    def encode(self) -> str:
        """Return it as one word."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "TaskCursor":
        """Read what `encode` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError as error:
            raise ValueError("not a cursor") from error


class CostItem(BaseModel):
    """One thing that was paid for.

    Args:
        item: what, as backlot.pricing names it.
        quantity: how much of it, in the unit of its price.
        usd: its price, US dollars.
    """

    item: str
    quantity: float
    usd: float


class StepTimings(BaseModel):
    """Where a step's time went, in seconds.

    Args:
        queued_s: from the message's arrival in the queue to its receipt.
        processing_s: from the receipt to the answered token.
        fetch_s: reading input images.
        provider_s: waiting for the provider.
        image_s: decoding, drawing and encoding pixels.
        store_s: reading results from the provider and writing them.
    """

    queued_s: float = 0.0
    processing_s: float = 0.0
    fetch_s: float = 0.0
    provider_s: float = 0.0
    image_s: float = 0.0
    store_s: float = 0.0


class MadeImage(BaseModel):
    """A picture that was made and stored.

    Args:
        result_url: on the CDN.
        width: pixels.
        height: pixels.
        content_type: as sniffed.
    """

    result_url: str
    width: int
    height: int
    content_type: str


class MadeFile(BaseModel):
    """A file that was made and stored and is no picture: a video, an animation, a sound.

    Args:
        result_url: on the CDN.
        content_type: as its name says.
        size_bytes: of the file.
    """

    result_url: str
    content_type: str
    size_bytes: int


class ImageError(BaseModel):
    """Why a picture was not made.

    Args:
        code: public code of an error, see `backlot.errors`.
        message: that error's sentence.
    """

    code: str
    message: str

    @classmethod
    def of(cls, error: BacklotError) -> Self:
        """Describe an error."""
        return cls(code=error.code(), message=str(error))


class FailedImage(BaseModel):
    """A picture of a batch that was not made, while others were."""

    error: ImageError


class StepOutput(BaseModel):
    """What a step gives back to its state machine: places and numbers, never pixels.

    Args:
        step: the step's name.
        images: the pictures that it made, in the provider's order; of these and `files`, at least one was made.
        files: what else it made.
        provider: whose API was called; empty for a step that calls none.
        model: as the provider's answer names it.
        cost: what the provider charged.
        detail: what is particular to the step.
        timings: where the time went; set when the step is done.
    """

    step: str
    images: list[MadeImage | FailedImage]
    files: list[MadeFile] = []
    provider: str
    model: str
    cost: list[CostItem]
    detail: dict[str, Any]
    timings: StepTimings = StepTimings()

    @model_validator(mode="before")
    @classmethod
    def _one_image(cls, values: Any) -> Any:
        """Read what was written when every step made one picture and said itself where it lies."""
        if isinstance(values, dict) and "images" not in values:
            return values | {"images": [{name: values.get(name) for name in MadeImage.model_fields}]}
        return values

    @model_validator(mode="after")
    def _something_was_made(self) -> Self:
        if not (self.made or self.files):
            raise ValueError("nothing was made")
        return self

    @property
    def made(self) -> list[MadeImage]:
        """The pictures that were made."""
        return [image for image in self.images if isinstance(image, MadeImage)]

    @property
    def first(self) -> MadeImage | MadeFile:
        """The first picture, or the first file if there is no picture."""
        return self.made[0] if self.made else self.files[0]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def result_url(self) -> str:
        """Of the first picture or file, on the CDN."""
        return self.first.result_url

    @computed_field  # type: ignore[prop-decorator]
    @property
    def width(self) -> int | None:
        """Of the first picture, pixels; None without one."""
        return self.made[0].width if self.made else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def height(self) -> int | None:
        """Of the first picture, pixels; None without one."""
        return self.made[0].height if self.made else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def content_type(self) -> str:
        """Of the first picture or file."""
        return self.first.content_type

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost_usd(self) -> float:
        """Sum of `cost`, US dollars."""
        return round(sum(item.usd for item in self.cost), 9)


class Progress(BaseModel):
    """How far a task on a GPU is, or one of a large model of our own; the latter has only the first and the last.

    Args:
        value: done of the whole, 0 to 1; never falls while an attempt runs.
        node: id of the graph's node that is at work.
        node_class: of that node.
        step: of the node's own steps, how many are done.
        steps: how many it has; None if it does not count.
        preview_url: the picture as it is now, if the request asked for previews; the same URL shows later ones.
        at_ms: when this was seen, Unix milliseconds.
    """

    value: float = Field(ge=0, le=1)
    node: str | None = None
    node_class: str | None = None
    step: int | None = None
    steps: int | None = None
    preview_url: str | None = None
    at_ms: int


class Delivery(BaseModel):
    """An attempt to tell a client's server that its task has ended.

    Args:
        at_ms: when it was made, Unix milliseconds.
        took_ms: how long it took.
        status: HTTP status of the answer, None without one.
        error: why it was no success, None if it was one.
    """

    at_ms: int
    took_ms: int
    status: int | None = None
    error: str | None = None


class Task(BaseModel):
    """A task's record.

    Args:
        owner: id of the API key that submitted it.
        request: the checked request, as the operation's model dumps it.
        created_at: when it was submitted, Unix seconds.
        updated_at: when the record was last written, Unix seconds.
        created_ms: when it was submitted, Unix milliseconds.
        started_ms: when a worker first took it, Unix milliseconds.
        completed_ms: when it ended, Unix milliseconds.
        expires_at: when the record may be deleted, Unix seconds.
        retries: how often the task was retried after it had failed.
        callback_url: who is told when it has ended.
        deliveries: the attempts to tell.
        steps: outputs of the steps that were done, in their order.
        progress: how far its worker has said it is; kept apart from the record.
        error_name: name of the error that ended it, see `backlot.errors`.
        error_message: that error's sentence.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    task_id: str
    operation: str
    job_type: str
    owner: str
    status: Status
    request: dict[str, Any]
    created_at: int
    updated_at: int
    created_ms: int
    started_ms: int | None = None
    completed_ms: int | None = None
    expires_at: int
    retries: int = 0
    callback_url: str | None = None
    deliveries: list[Delivery] = Field(default_factory=list)
    result_url: str | None = None
    steps: list[StepOutput] = Field(default_factory=list)
    progress: Progress | None = None
    error_name: str | None = None
    error_message: str | None = None

    @classmethod
    def submitted(
        cls, *, task_id: str, operation: str, owner: str, request: dict[str, Any], now_ms: int, days: int
    ) -> "Task":
        """Make the record of a task that was just submitted.

        Args:
            request: as the operation's model dumps it.
            now_ms: the time, Unix milliseconds.
            days: how long the record is kept.
        """
        # Whom to tell is no part of the work, and no business of the state machine.
        callback_url = request.get("callback_url")
        request = {name: value for name, value in request.items() if name != "callback_url"}
        return cls(
            task_id=task_id,
            operation=operation,
            job_type=job_type(operation),
            owner=owner,
            status=Status.PENDING,
            request=request,
            created_at=now_ms // 1000,
            updated_at=now_ms // 1000,
            created_ms=now_ms,
            expires_at=now_ms // 1000 + days * 86_400,
            callback_url=callback_url,
        )

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Task":
        """Read an item of `task_store`: `request` and `steps` are JSON texts, numbers Decimals, the expiry `ttl`."""
        values: dict[str, Any] = {
            key: int(value) if isinstance(value, Decimal) else value for key, value in record.items()
        }
        values["expires_at"] = values.pop("ttl")
        values["request"] = json.loads(values["request"])
        values["steps"] = json.loads(values.get("steps") or "[]")
        return cls.model_validate(values)

    def record(self) -> dict[str, Any]:
        """Return the item that `task_store` keeps; what is not known yet is absent."""
        values = self.model_dump(
            mode="json", exclude_none=True, exclude={"steps", "expires_at", "deliveries", "progress"}
        )
        return values | {"request": json.dumps(self.request, ensure_ascii=False), "ttl": self.expires_at}

    @property
    def execution_name(self) -> str:
        """Name of the task's current execution: its id, followed by `.<n>` for the n-th retry."""
        return f"{self.task_id}.{self.retries}" if self.retries else self.task_id

    @property
    def error(self) -> type[BacklotError] | None:
        """The class of the error that ended the task."""
        return error_class(self.error_name) if self.status is Status.FAILED else None

    @property
    def public_error_message(self) -> str | None:
        """The sentence for clients: an error of ours in its own words, what AWS reports and what has none in ours."""
        error = self.error
        if error is None:
            return None
        ours = error.__name__ == self.error_name and error is not Unexpected
        return self.error_message if ours and self.error_message else error.meaning()

    @property
    def cost_usd(self) -> float | None:
        """What the providers charged, US dollars; None until a step is done."""
        return round(sum(step.cost_usd for step in self.steps), 6) if self.steps else None
