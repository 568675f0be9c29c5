"""The demo: one task of an operation, from the request to the picture, on everything that stands."""

import base64
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from backlot import pricing
from backlot.operations import Lane, Operation, operation_named
from cdk.gpu_config import Gpu
from local.deployment import Outputs, api_key
from local.emulator import client
from local.environment import comfyui_url
from local.overlay import overlay
from local.place import ROOT, Place
from local.stand_ins import faces

PORTRAITS = ROOT / "local" / "portraits"

#: What the catalogue's examples call their pictures, and the portraits that play them.
PICTURES = {"scene.jpg": "astronaut.png", "portrait.jpg": "grace_hopper.jpg", "person.jpg": "astronaut.png"}
MASKED = "masked.png"

#: Longest wait for the task, and pause between two looks at it, seconds.
LIMIT_S, LOOK_S = 120.0, 0.15

#: How long ComfyUI's stand-in takes for nodes and steps while somebody watches, seconds.
WATCHABLE = {"node_s": 0.4, "step_s": 0.4}

#: Memory of the paid lane's worker, GB; see `cdk.config.Worker`.
WORKER_GB = 2.0


class DemoFailed(Exception):
    """The demo did not get its picture; the message says why."""


@dataclass(frozen=True)
class Report:
    """What the demo saw.

    Args:
        operation: that ran.
        task: as the API answered it in the end.
        elapsed_s: from the submission to the end, by the task's own clock.
        overhead_s: of that, what was neither provider nor pixels.
        execution_arn: of the task's execution.
        saved: where the results lie.
        transitions: of the execution.
        shown: the masks over their picture, if the operation makes masks.
    """

    operation: Operation
    task: dict[str, Any]
    elapsed_s: float
    overhead_s: float
    execution_arn: str
    saved: list[Path]
    transitions: int
    shown: Path | None = None

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


class Demo:
    """Submits as a client does, with nothing but the API's address and a key.

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

    def run(self, name: str) -> Report:
        """Run one task of an operation.

        Raises:
            DemoFailed: anything but a picture came out.
        """
        operation = operation_named(name)
        if operation.lane is Lane.GPU and comfyui_url() is None:
            self._slow_down()
        body = self._body(operation)
        self._say(f"submitting {name}")
        task = self._finish(name, self._submit(name, body))
        if task["status"] != "completed":
            raise DemoFailed(f"the task ended as {task['status']}: {task['error_message']}")
        urls = [image["result_url"] for image in made(task)]
        names = [name] if len(urls) == 1 else [f"{name}-{number}" for number in range(1, len(urls) + 1)]
        saved = [self._download(name, url) for name, url in zip(names, urls, strict=True)]
        timings = task["timings"]
        elapsed_s = timings["queued_s"] + timings["processing_s"]
        worked_s = sum(step["provider_s"] + step["image_s"] for step in timings["steps"].values())
        arn = self._execution_arn(name, task["task_id"])
        shown = None
        if operation.lane is Lane.MODEL:
            picture = PORTRAITS / PICTURES["person.jpg"]
            shown = overlay(picture, saved[:2], self._place.folder / "results" / f"{name}-over-picture.png")
        return Report(operation, task, elapsed_s, elapsed_s - worked_s, arn, saved, len(self._states(arn)) + 1, shown)

    def _body(self, operation: Operation) -> dict[str, Any]:
        """Turn the catalogue's example into a request whose pictures exist."""
        return {field: self._existing(value) for field, value in operation.example.items()}

    def _existing(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._existing(each) for each in value]
        if isinstance(value, dict):
            if "cleanFace" in value.get("image", {}):
                return identity_packet(PORTRAITS / PICTURES["portrait.jpg"])
            return {name: self._existing(each) for name, each in value.items()}
        picture = str(value).rsplit("/", 1)[-1]
        if picture in PICTURES:
            return self._upload(PICTURES[picture])
        return self.run("face-mask").task["result_url"] if picture == MASKED else value

    def _slow_down(self) -> None:
        """Let the stand-in take as long as a person can follow; what it does takes a second."""
        httpx.put(f"{self._place.comfyui}/_settings", json=WATCHABLE, trust_env=False).raise_for_status()

    def _upload(self, picture: str) -> str:
        bucket = self._outputs["BucketName"]
        client(self._place, "s3").upload_file(str(PORTRAITS / picture), bucket, f"uploads/{picture}")
        return f"s3://{bucket}/uploads/{picture}"

    def _submit(self, name: str, body: dict[str, Any]) -> str:
        answer = self._http.post(f"/api/v1/{name}/tasks", json=body)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise DemoFailed(f"the API answered {answer.status_code}: {answer.text}")
        return str(answer.json()["task_id"])

    def _finish(self, name: str, task_id: str) -> dict[str, Any]:
        """Look at the task until it has ended; say which states its execution enters, and how far its worker is."""
        began = time.monotonic()
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
            if time.monotonic() - began > LIMIT_S:
                raise DemoFailed(f"task {task_id} is still {task['status']} after {LIMIT_S:.0f} s")
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

    def _download(self, name: str, url: str) -> Path:
        answer = httpx.get(url, timeout=30, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            raise DemoFailed(f"the CDN answered {answer.status_code} for {url}")
        results = self._place.folder / "results"
        results.mkdir(exist_ok=True)
        saved = results / f"{name}.{url.rsplit('.', 1)[-1]}"
        saved.write_bytes(answer.content)
        return saved


def _progress(progress: dict[str, Any]) -> str:
    """Return a line that shows how far a task is."""
    done = round(progress["value"] * 20)
    step = f" {progress['step']}/{progress['steps']}" if progress["steps"] else ""
    node = f"  node {progress['node']} {progress['node_class']}{step}" if progress["node"] else ""
    return f"{'█' * done}{'░' * (20 - done)} {progress['value']:4.0%}{node}"


def made(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pictures of a completed task that were made."""
    return [image for image in task["result"]["images"] if "result_url" in image]


def identity_packet(portrait: Path) -> dict[str, Any]:
    """Return what the IdentityLens app would send of a portrait: the picture, and where the face is on it."""
    data = portrait.read_bytes()
    pixels = faces.read(data)
    face, (height, width) = faces.find_faces(pixels)[0], pixels.shape[:2]
    sides = {
        "left": face.left / width,
        "top": face.top / height,
        "right": face.right / width,
        "bottom": face.bottom / height,
    }
    return {
        "version": "1.0",
        "captureId": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
        "image": {"cleanFace": base64.b64encode(data).decode(), "resolution": {"width": width, "height": height}},
        "facialData": {"boundingBox": sides, "eulerAngles": {"pitch": 0.0, "yaw": 0.0, "roll": 0.0}},
        "qualityMetrics": {"overallScore": 0.9, "passed": True},
    }


def describe(report: Report) -> list[str]:
    """Return the table of the steps and the bill."""
    task, steps = report.task, report.task["result"]["steps"]
    columns = ("queued_s", "fetch_s", "provider_s", "image_s", "store_s", "processing_s")
    lines = ["", f"  {'step':<20}" + "".join(f"{name.removesuffix('_s'):>12}" for name in columns) + "   model"]
    for step in steps:
        times = "".join(f"{step['timings'][name]:>10.3f} s" for name in columns)
        lines.append(f"  {step['step']:<20}{times}   {step['model']}")
    lines.append(
        f"  whole task {report.elapsed_s:.2f} s, of which {report.overhead_s:.2f} s neither provider nor pixels"
        " (0.15 s of it is a fixed pause of MiniStack)"
    )
    return [*lines, "", *_bill(report, task, steps)]


def _bill(report: Report, task: dict[str, Any], steps: list[dict[str, Any]]) -> list[str]:
    # While a model of our own works, no function waits for it; a host of the GPU lane is no function at all.
    lane = report.operation.lane
    waited = {Lane.MODEL: "provider_s", Lane.GPU: "processing_s"}.get(lane)
    worker_s = sum(step["timings"]["processing_s"] - step["timings"].get(waited, 0.0) for step in steps)
    reads = json.dumps(report.operation.example).count("https://")
    # Every step writes one picture, the last one those that were made.
    aws = pricing.aws_cost(
        steps=len(steps),
        transitions=report.transitions,
        worker_gb_seconds=worker_s * WORKER_GB,
        image_reads=reads,
        image_writes=len(steps) - 1 + len(report.saved),
    )
    if lane is Lane.GPU:
        gpu_s = sum(step["timings"]["provider_s"] for step in steps)
        aws.append(pricing.charge(f"ec2/{Gpu().instance_types[0]}/hour", gpu_s / 3600))
    provider = [item for step in steps for item in step["cost"]]
    aws_usd = sum(item.usd for item in aws)
    lines = ["  what the same task would have cost:"]
    lines += [f"    {item['item']:<24}{item['quantity']:>10g}  ${item['usd']:.6f}" for item in provider]
    lines += [f"    {item.item:<24}{item.quantity:>10.4g}  ${item.usd:.6f}" for item in aws]
    lines.append(f"    providers ${task['cost_usd']:.6f} + AWS ${aws_usd:.6f} = ${task['cost_usd'] + aws_usd:.6f}")
    return lines
