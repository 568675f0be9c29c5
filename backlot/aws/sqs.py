"""SQS: giving a message back for later, and reading what nobody could finish."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backlot.work_items import Cancellation, WorkItem

#: Longest times for which SQS hides a message that was received, and one that is sent, seconds.
MAX_VISIBILITY_S, MAX_DELAY_S = 43_200, 900

_ATTRIBUTES = ["ApproximateReceiveCount", "SentTimestamp"]
_COUNTS = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]


@dataclass(frozen=True)
class Message:
    """A received message.

    Args:
        receives: how often it was received, here and in the queue that it came from.
        sent_ms: when it was sent, Unix milliseconds.
    """

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    sent_ms: int


class Queue:
    """One queue.

    Args:
        client: a boto3 SQS client.
        url: the queue's URL.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._url.rsplit("/", 1)[-1]

    def send(self, item: WorkItem | Cancellation, *, delay_s: int) -> None:
        """Send a message to workers, to be seen after some seconds."""
        self._client.send_message(
            QueueUrl=self._url, MessageBody=item.model_dump_json(), DelaySeconds=min(max(delay_s, 0), MAX_DELAY_S)
        )

    def send_in_turn(self, item: WorkItem) -> None:
        """Send an item to a FIFO queue, in a group of its own; the same item is sent once within five minutes."""
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=item.model_dump_json(),
            MessageGroupId=f"look-{item.task_id}",
            MessageDeduplicationId=f"{item.attempt}-{item.step}-{item.turn}",
        )

    def receive(self, *, wait_s: int, hidden_s: int) -> Message | None:
        """Take a message, and wait for one if there is none.

        Args:
            wait_s: how long to wait, seconds.
            hidden_s: for how long nobody else sees it, seconds.
        """
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=hidden_s,
            MessageSystemAttributeNames=_ATTRIBUTES,
        )
        return next(map(_message, answer.get("Messages", [])), None)

    def delete(self, receipt_handle: str) -> None:
        """Delete a message that was received."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt_handle)

    def count(self) -> int:
        """Return about how many messages there are, those at work and those that are put off among them."""
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=_COUNTS)
        return sum(int(answer["Attributes"][name]) for name in _COUNTS)

    def delay(self, receipt_handle: str, seconds: int) -> None:
        """Let a message that was received be seen again after some seconds."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=min(max(seconds, 0), MAX_VISIBILITY_S)
        )

    def peek(self, *, at_most: int, hidden_s: int) -> Iterator[Message]:
        """Look at messages without taking them: each is visible again as soon as it was handed out.

        Args:
            at_most: how many.
            hidden_s: for how long those already seen in this call stay hidden, seconds; the call should take less.
        """
        seen: list[str] = []
        try:
            while len(seen) < at_most:
                answer = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=min(10, at_most - len(seen)),
                    VisibilityTimeout=hidden_s,
                    MessageSystemAttributeNames=_ATTRIBUTES,
                )
                for message in answer.get("Messages", []):
                    seen.append(message["ReceiptHandle"])
                    yield _message(message)
                if not answer.get("Messages"):
                    return
        finally:
            for receipt in seen:
                self.delay(receipt, 0)


def _message(received: dict[str, Any]) -> Message:
    attributes = received.get("Attributes", {})
    return Message(
        received["MessageId"],
        received["ReceiptHandle"],
        received["Body"],
        receives=int(attributes.get("ApproximateReceiveCount", 0)),
        sent_ms=int(attributes.get("SentTimestamp", 0)),
    )
