"""The deployment that is measured: a place of its own, used as a client uses it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from local.demo import PORTRAITS
from local.deployment import Outputs, api_key
from local.emulator import client
from local.place import Place


@dataclass
class Stand:
    """A deployment that stands, and a client of it.

    Args:
        place: where it stands.
        outputs: of the deployment.
    """

    place: Place
    outputs: Outputs
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"x-api-key": api_key(self.place, self.outputs)}
        self.http = httpx.Client(base_url=self.place.front_door, headers=headers, timeout=60, trust_env=False)

    def aws(self, service: str) -> Any:
        """Return a boto3 client."""
        return client(self.place, service)

    def upload(self, portrait: str) -> str:
        """Put a portrait into the bucket; return its `s3://` URL."""
        bucket = self.outputs["BucketName"]
        self.aws("s3").upload_file(str(PORTRAITS / portrait), bucket, f"uploads/{portrait}")
        return f"s3://{bucket}/uploads/{portrait}"

    def submit(self, operation: str, body: dict[str, Any]) -> str:
        """Submit a task; return its id."""
        answer = self.http.post(f"/api/v1/{operation}/tasks", json=body)
        answer.raise_for_status()
        return str(answer.json()["task_id"])

    def finish(self, task_id: str) -> dict[str, Any]:
        """Return a task once it is completed, held by the API until then.

        Raises:
            RuntimeError: it ended in another way, or not within 25 seconds.
        """
        answer = self.http.get(f"/api/v1/tasks/{task_id}", params={"wait": "25"})
        answer.raise_for_status()
        task: dict[str, Any] = answer.json()
        if task["status"] != "completed":
            raise RuntimeError(f"task {task_id} is {task['status']}: {task['error_message']}")
        return task

    def delay_provider(self, provider: str, wait_s: float) -> None:
        """Let the stand-in's next call take longer."""
        fault = {"kind": "none", "wait_s": wait_s}
        httpx.put(f"{self.place.stand_ins}/_faults/{provider}", json=[fault], trust_env=False).raise_for_status()


@dataclass
class Timer:
    """Seconds that a block took."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Timer]:
    """Time a block."""
    timer, began = Timer(), time.perf_counter()
    try:
        yield timer
    finally:
        timer.seconds = time.perf_counter() - began
