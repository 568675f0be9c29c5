"""Stage `local`, deployed once for all journeys, strict: TLS, and IAM enforced."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.deployment import Outputs, api_key
from local.emulator import client
from local.place import ROOT, Place
from local.stack import down, up
from tests.stack.waiting import LIMIT_S, until


@dataclass
class Studio:
    """What a studio's client, its operator and its providers see."""

    place: Place
    outputs: Outputs
    keys: dict[str, str]
    http: httpx.Client = field(init=False)
    stand_ins: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"x-api-key": self.keys["studio"]}
        self.http = httpx.Client(base_url=self.place.front_door, headers=headers, timeout=60, trust_env=False)
        self.stand_ins = httpx.Client(base_url=self.place.stand_ins, timeout=30, trust_env=False)

    def aws(self, service: str) -> Any:
        return client(self.place, service)

    def upload(self, name: str, data: bytes | None = None) -> str:
        """Put a picture (a portrait by default) into the bucket; return its s3:// URL."""
        body = (PORTRAITS / name).read_bytes() if data is None else data
        self.aws("s3").put_object(Bucket=self.outputs["BucketName"], Key=f"uploads/{name}", Body=body)
        return f"s3://{self.outputs['BucketName']}/uploads/{name}"

    def submit(self, operation: str, body: dict[str, Any], **headers: str) -> str:
        answer = self.http.post(f"/api/v1/{operation}/tasks", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()["task_id"]

    def read(self, task_id: str, **query: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/v1/tasks/{task_id}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finish(self, task_id: str, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """Return a task once it has ended."""

        def ended() -> dict[str, Any] | None:
            task = self.read(task_id)
            return task if task["status"] in ("completed", "failed", "cancelled") else None

        return until(ended, f"the end of task {task_id}", limit_s)

    def do(self, operation: str, body: dict[str, Any], limit_s: float = LIMIT_S) -> dict[str, Any]:
        return self.finish(self.submit(operation, body), limit_s)

    def picture(self, url: str) -> Image.Image:
        """Open a result from the CDN."""
        answer = httpx.get(url, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return Image.open(io.BytesIO(answer.content))

    def calls(self) -> dict[str, int]:
        """Return how often each provider was called since `forget_calls`."""
        return self.stand_ins.get("/_calls").json()

    def forget_calls(self) -> None:
        self.stand_ins.delete("/_calls")
        self.stand_ins.delete("/_sagemaker/invocations")

    def fault(self, provider: str, *faults: dict[str, Any]) -> None:
        """Let the next calls of a provider go wrong."""
        self.stand_ins.put(f"/_faults/{provider}", json=list(faults)).raise_for_status()

    def function(self, part: str) -> str:
        """Return the full name of a function."""
        names = [each["FunctionName"] for each in self.aws("lambda").list_functions()["Functions"]]
        return next(name for name in names if part in name)

    @contextmanager
    def changed_function(self, part: str, *, timeout_s: int | None = None, **environment: str) -> Iterator[None]:
        """Run with another time limit or other variables of a function, and with nothing left of earlier tests.

        The emulator loses a message that a process gets while it is replaced.
        """
        self.purge()
        name, lambda_ = self.function(part), self.aws("lambda")
        before = lambda_.get_function_configuration(FunctionName=name)
        variables = before["Environment"]["Variables"]
        lambda_.update_function_configuration(
            FunctionName=name,
            Timeout=timeout_s or before["Timeout"],
            Environment={"Variables": variables | environment},
        )
        try:
            yield
        finally:
            lambda_.update_function_configuration(
                FunctionName=name, Timeout=before["Timeout"], Environment={"Variables": variables}
            )

    def kill_workers(self) -> None:
        """Kill the processes that run the worker, as Lambda's host would vanish."""
        leader = psutil.Process(int((self.place.run / "ministack.pid").read_text().split()[0]))
        name = self.function("RunPaidStep")
        victims = [child for child in leader.children(recursive=True) if name in str(child.environ())]
        assert victims
        for victim in victims:
            victim.kill()

    def invocations(self, task_id: str | None = None) -> list[dict[str, Any]]:
        """Return what SageMaker's stand-in ran for a task, or for all, as it began; then what waits."""
        runs = self.stand_ins.get("/_sagemaker/invocations").json()
        return [run for run in runs if task_id is None or run["inference_id"].startswith(task_id)]

    def kill_model_server(self, name: str) -> None:
        """Kill a model's server, as an instance would vanish."""
        pid = int((self.place.run / f"model-server-{name}.pid").read_text().split()[0])
        server = psutil.Process(pid)
        server.kill()
        server.wait(10)

    def depth(self, queue: str) -> int:
        """Return how many messages a queue holds, seen or unseen."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.aws("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(value) for value in answer["Attributes"].values())

    def purge(self) -> None:
        """Drop the messages that earlier tests have left: those of killed workers come back after minutes."""
        self.aws("sqs").purge_queue(QueueUrl=self.outputs["CpuTasksQueueUrl"])

    def objects(self) -> set[str]:
        """Return the keys of all results."""
        pages = self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=self.outputs["BucketName"])
        keys = {each["Key"] for page in pages for each in page.get("Contents", [])}
        return {key for key in keys if not key.startswith("uploads/")}


@pytest.fixture(scope="session")
def studio(worker_id) -> Iterator[Studio]:
    place = Place.open(ROOT / ".local" / f"test-{worker_id}")
    down(place)
    try:
        outputs = up(place, faults="all")
        studio = Studio(place, outputs, {name: api_key(place, outputs, name) for name in ("studio", "trial")})
        with studio.http, studio.stand_ins:
            yield studio
    finally:
        down(place)


@pytest.fixture(autouse=True)
def quiet_providers(request) -> None:
    """Let no test inherit another's faults or counts."""
    if "studio" in request.fixturenames:
        request.getfixturevalue("studio").forget_calls()


@pytest.fixture
def fast_clock(studio) -> Iterator[None]:
    """Let the pauses of state machines be ten times shorter."""
    switch = studio.place.run / "tmp" / "fast-clock"
    switch.write_text("10")
    yield
    switch.unlink()


@pytest.fixture(scope="session")
def astronaut(studio) -> str:
    return studio.upload("astronaut.png")


@pytest.fixture(scope="session")
def hopper(studio) -> str:
    return studio.upload("grace_hopper.jpg")
