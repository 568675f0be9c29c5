"""Submits as a client does, with nothing but the API's address and a key, and says what happens."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backlot.operations import Lane, Operation, operation_named
from local.demo.sheet import Cell
from local.deployment import Outputs, api_key
from local.emulator import client
from local.environment import comfyui_url
from local.models import real_models
from local.place import Place

#: Pause between two looks at a task, and the longest wait for it: a real model may have to be loaded first. Seconds.
LOOK_S, LIMIT_S, LONG_LIMIT_S = 0.15, 120.0, 3600.0

#: How long the stand-ins take while somebody watches: ComfyUI's for nodes and steps, a model of our own for a picture.
WATCHABLE, WATCHABLE_S = {"node_s": 0.4, "step_s": 0.4}, 4.0


class DemoFailed(Exception):
    """The demo did not get its picture; the message says why."""


@dataclass(frozen=True)
class Shot:
    """One task of a demo.

    Args:
        operation: that is asked.
        body: of the request.
        title: what is to be seen.
        before: pictures that stand before the results on the contact sheet.
        name: of the results' files; the operation's if it is empty.
        makes_masks: whether the results are to be shown over the first picture, too.
        slow: the model that is to take as long as a person can follow, if it is a stand-in.
    """

    operation: str
    body: dict[str, Any]
    title: str
    before: Sequence[Cell] = ()
    name: str = ""
    makes_masks: bool = False
    slow: str | None = None


@dataclass(frozen=True)
class Report:
    """What the demo saw of a task.

    Args:
        operation: that ran.
        body: of the request.
        task: as the API answered it in the end.
        elapsed_s: from the submission to the end, by the task's own clock.
        overhead_s: of that, what was neither provider nor pixels.
        execution_arn: of the task's execution.
        saved: where the results lie.
        transitions: of the execution.
    """

    operation: Operation
    body: dict[str, Any]
    task: dict[str, Any]
    elapsed_s: float
    overhead_s: float
    execution_arn: str
    saved: list[Path]
    transitions: int

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `.local/demo.json`."""
        return {
            "task_id": self.task["task_id"],
            "status": self.task["status"],
            "result_url": self.task["result_url"],
            "result_urls": [image["result_url"] for image in made(self.task)],
            "elapsed_s": round(self.elapsed_s, 3),
            "overhead_s": round(self.overhead_s, 3),
            "execution_arn": self.execution_arn,
        }


class Client:
    """A client of the deployment.

    Args:
        place: where everything stands.
        outputs: of the deployment.
        say: is told what happens.
    """

    def __init__(self, place: Place, outputs: Outputs, say: Callable[[str], None]) -> None:
        self._place = place
        self._outputs = outputs
        self._say = say
        self.key = api_key(place, outputs)
        self._http = httpx.Client(
            base_url=place.front_door, headers={"x-api-key": self.key}, timeout=40, trust_env=False
        )

    @property
    def results(self) -> Path:
        """Where results are saved."""
        folder = self._place.folder / "results"
        folder.mkdir(exist_ok=True)
        return folder

    def upload(self, name: str, data: bytes) -> str:
        """Put a picture into the bucket; return its `s3://` URL."""
        bucket = self._outputs["BucketName"]
        client(self._place, "s3").put_object(Bucket=bucket, Key=f"uploads/{name}", Body=data)
        return f"s3://{bucket}/uploads/{name}"

    def take(self, shot: Shot) -> Report:
        """Run one task and save its pictures.

        Raises:
            DemoFailed: anything but a picture came out.
        """
        name = shot.operation
        with self._watchable(shot):
            self._say(f"submitting {name}" + (f": {shot.title}" if shot.title else ""))
            task = self._finish(name, self._submit(name, shot.body))
        if task["status"] != "completed":
            raise DemoFailed(f"the task ended as {task['status']}: {task['error_message']}")
        timings = task["timings"]
        elapsed_s = timings["queued_s"] + timings["processing_s"]
        worked_s = sum(step["provider_s"] + step["image_s"] for step in timings["steps"].values())
        arn = self._execution_arn(name, task["task_id"])
        return Report(
            operation=operation_named(name),
            body=shot.body,
            task=task,
            elapsed_s=elapsed_s,
            overhead_s=elapsed_s - worked_s,
            execution_arn=arn,
            saved=self._save(shot.name or name, [image["result_url"] for image in made(task)]),
            transitions=len(self._states(arn)) + 1,
        )

    @contextmanager
    def _watchable(self, shot: Shot) -> Iterator[None]:
        """Let the stand-ins take as long as a person can follow; what they do takes a second."""
        if operation_named(shot.operation).lane is Lane.GPU and comfyui_url() is None:
            httpx.put(f"{self._place.comfyui}/_settings", json=WATCHABLE, trust_env=False).raise_for_status()
        if shot.slow is None or shot.slow in real_models():
            yield
            return
        faults = f"{self._place.stand_ins}/_faults/model-{shot.slow}"
        slow = {"kind": "none", "wait_s": WATCHABLE_S, "times": 9}
        httpx.put(faults, json=[slow], trust_env=False).raise_for_status()
        try:
            yield
        finally:
            httpx.put(faults, json=[], trust_env=False).raise_for_status()

    def _submit(self, name: str, body: dict[str, Any]) -> str:
        answer = self._http.post(f"/api/v1/{name}/tasks", json=body)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise DemoFailed(f"the API answered {answer.status_code}: {answer.text}")
        return str(answer.json()["task_id"])

    def _finish(self, name: str, task_id: str) -> dict[str, Any]:
        """Look at the task until it has ended; say which states its execution enters, and how far it is."""
        began, limit_s = time.monotonic(), LONG_LIMIT_S if real_models() else LIMIT_S
        shown = 0
        seen: str | None = None
        while True:
            task: dict[str, Any] = self._http.get(f"/api/v1/tasks/{task_id}").json()
            states = self._states(self._execution_arn(name, task_id))
            for state in states[shown:]:
                self._say(f"  {time.monotonic() - began:5.1f} s  {task['status']:<10}  {state}")
            shown = len(states)
            if task["progress"] and (progress := _progress(task["progress"])) != seen:
                self._say(f"  {time.monotonic() - began:5.1f} s  {task['status']:<10}  {progress}")
                seen = progress
            if task["status"] in ("completed", "failed", "cancelled"):
                self._say(f"  {time.monotonic() - began:5.1f} s  {task['status']}")
                return task
            if time.monotonic() - began > limit_s:
                raise DemoFailed(f"task {task_id} is still {task['status']} after {limit_s:.0f} s")
            time.sleep(LOOK_S)

    def _states(self, execution_arn: str) -> list[str]:
        """Return the states that an execution has entered; none before it is started."""
        machine = client(self._place, "stepfunctions")
        try:
            events = machine.get_execution_history(executionArn=execution_arn)["events"]
        except machine.exceptions.ExecutionDoesNotExist:
            return []
        return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]

    def _execution_arn(self, name: str, task_id: str) -> str:
        prefix = self._outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:")
        return f"{prefix}{name}:{task_id}"

    def _save(self, name: str, urls: list[str]) -> list[Path]:
        names = [name] if len(urls) == 1 else [f"{name}-{number}" for number in range(1, len(urls) + 1)]
        return [self._download(name, url) for name, url in zip(names, urls, strict=True)]

    def _download(self, name: str, url: str) -> Path:
        answer = httpx.get(url, timeout=30, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise DemoFailed(f"the CDN answered {answer.status_code} for {url}")
        saved = self.results / f"{name}.{url.rsplit('.', 1)[-1]}"
        saved.write_bytes(answer.content)
        return saved


def made(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pictures of a completed task that were made."""
    return [image for image in task["result"]["images"] if "result_url" in image]


def _progress(progress: dict[str, Any]) -> str:
    """Return a line that shows how far a task is."""
    done = round(progress["value"] * 20)
    step = f" {progress['step']}/{progress['steps']}" if progress["steps"] else ""
    node = f"  node {progress['node']} {progress['node_class']}{step}" if progress["node"] else ""
    return f"{'█' * done}{'░' * (20 - done)} {progress['value']:4.0%}{node}"
