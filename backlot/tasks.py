"""The task: what a client asked for, and what has become of it, as `task_store` keeps it."""

import json
import re
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, computed_field

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


def job_type(operation: str) -> str:
    """Return the `job_type` that the servers which Backlot replaces kept for an operation: its jobs path."""
    return f"/api/v1/{operation}/jobs"


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
        store_s: writing results.
    """

    queued_s: float = 0.0
    processing_s: float = 0.0
    fetch_s: float = 0.0
    provider_s: float = 0.0
    image_s: float = 0.0
    store_s: float = 0.0


class StepOutput(BaseModel):
    """What a step gives back to its state machine: places and numbers, never pixels.

    Args:
        step: the step's name.
        result_url: the result on the CDN.
        width: of the result, pixels.
        height: of the result, pixels.
        content_type: of the result, as sniffed.
        provider: whose API was called; empty for a step that calls none.
        model: as the provider's answer names it.
        cost: what the provider charged.
        detail: what is particular to the step.
        timings: where the time went; set when the step is done.
    """

    step: str
    result_url: str
    width: int
    height: int
    content_type: str
    provider: str
    model: str
    cost: list[CostItem]
    detail: dict[str, Any]
    timings: StepTimings = StepTimings()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost_usd(self) -> float:
        """Sum of `cost`, US dollars."""
        return round(sum(item.usd for item in self.cost), 9)


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
        steps: outputs of the steps that were done, in their order.
        error_name: name of the error that ended it, see `backlot.errors`.
        error_message: that error's sentence.
    """

    model_config = ConfigDict(frozen=True)

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
    result_url: str | None = None
    steps: list[StepOutput] = Field(default_factory=list)
    error_name: str | None = None
    error_message: str | None = None

    @classmethod
    def submitted(
        cls, *, task_id: str, operation: str, owner: str, request: dict[str, Any], now_ms: int, days: int
    ) -> "Task":
        """Make the record of a task that was just submitted.

        Args:
            now_ms: the time, Unix milliseconds.
            days: how long the record is kept.
        """
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
        values = self.model_dump(mode="json", exclude_none=True, exclude={"steps", "expires_at"})
        return values | {"request": json.dumps(self.request, ensure_ascii=False), "ttl": self.expires_at}

    @property
    def error(self) -> type[BacklotError] | None:
        """The class of the error that ended the task."""
        return error_class(self.error_name) if self.status is Status.FAILED else None

    @property
    def public_error_message(self) -> str | None:
        """The sentence for clients: an error of ours in its own words, what AWS reports in ours."""
        error = self.error
        if error is None:
            return None
        ours = error.__name__ == self.error_name and error is not Unexpected
        return self.error_message if ours and self.error_message else error.sentence

    @property
    def cost_usd(self) -> float | None:
        """What the providers charged, US dollars; None until a step is done."""
        return round(sum(step.cost_usd for step in self.steps), 6) if self.steps else None
