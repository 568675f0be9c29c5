"""What a queue of work carries; apart from the steps, so that the API does not import what they need."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field


class WorkItem(BaseModel):
    """A queue message: one step of one task, and the token that answers it.

    Args:
        task_token: Step Functions' callback token, as long as its API takes one; never logged.
        attempt: names this entry into the state, `<execution>/<retry count>`; a message that comes twice has it
            twice, a retry has another.
        input: the step's own input, checked by the step's model.
        turn: how often this attempt was put off; each time it is sent again with the next number.
        first_sent_ms: when the first of these messages was sent, Unix milliseconds; None in the first.
        crashes: how often ComfyUI has died with this attempt.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_token: str = Field(min_length=1, max_length=2048)
    task_id: str
    operation: str
    step: str
    attempt: str
    input: dict[str, Any]
    turn: int = 0
    first_sent_ms: int | None = None
    crashes: int = 0

    @property
    def retries(self) -> int:
        """How often the state machine has tried this step before, within one execution."""
        _, _, count = self.attempt.rpartition("/")
        return int(count) if count.isdigit() else 0

    def again(self, sent_ms: int, *, crashes: int | None = None) -> Self:
        """Return the message with which this attempt goes on later.

        Args:
            sent_ms: when this one was sent, Unix milliseconds.
            crashes: how often ComfyUI has died with it, if that is another number now.
        """
        changes = {"turn": self.turn + 1, "first_sent_ms": self.first_sent_ms or sent_ms}
        return self.model_copy(update=changes | ({} if crashes is None else {"crashes": crashes}))


class Cancellation(BaseModel):
    """A queue message: a task was cancelled, and what its steps have bought and wait for is to be cancelled too.

    Args:
        cancelled_task_id: of the task.
        operation: of the task.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    cancelled_task_id: str
    operation: str
