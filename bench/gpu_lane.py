"""The GPU lane: how busy the GPU is while pictures come and go, and how soon a task ends after its graph."""

import io
import time
from typing import Any

import httpx

from backlot.aws.dynamodb import Table as DynamoTable
from backlot.aws.task_store import TaskStore
from bench.figures import Figure, Section, Table, p50, p90
from bench.stand import Stand
from local.demo import PORTRAITS

#: A job: its time on the GPU, and that of its transfers before and after, seconds.
GPU_S, TRANSFER_S = 1.0, 0.5

#: Jobs of ours, jobs one at a time, and tasks whose end is timed.
JOBS, ONE_BY_ONE, ENDS, WARM_UP = 100, 20, 40, 3

#: Share of the time in which the GPU has nothing to do, and time from a graph's end to its task's, milliseconds.
IDLE_BAR, END_BAR_MS = 0.05, 300.0

_LIMIT_S = 600.0

#: From where the graphs of the other two measurements are counted.
_FIRST_ALONE, _FIRST_END = 1000, 2000


def measure_gpu_lane(stand: Stand) -> Section:
    """Measure the worker with many jobs at once, the same jobs one at a time, and single tasks' ends."""
    picture = stand.upload("astronaut.png")
    with httpx.Client(base_url=stand.place.comfyui, timeout=60, trust_env=False) as comfyui:
        _slow_down(comfyui, transfer_s=TRANSFER_S, gpu_s=GPU_S)
        ours = _run_all(stand, comfyui, picture)
        alone = _one_by_one(comfyui)
        _slow_down(comfyui, transfer_s=0, gpu_s=0)
        ends, stored = _ends(stand, comfyui, picture)
    without = [end - store for end, store in zip(ends, stored, strict=True)]
    title = f"GPU lane: {GPU_S:g} s on the GPU, {TRANSFER_S:g} s of transfers on each side"
    figures = [
        Figure(f"ours: idle share of the GPU, {JOBS} jobs", 1 - ours, "", IDLE_BAR),
        Figure(f"one at a time: idle share of the GPU, {ONE_BY_ONE} jobs", 1 - alone, ""),
        Figure("ours: busy share", ours, ""),
        Figure("one at a time: busy share", alone, ""),
        Figure("graph's end to task's end, without uploads, p50", p50(without), "ms", END_BAR_MS),
        Figure("graph's end to task's end, without uploads, p90", p90(without), "ms"),
    ]
    rows = [("reading and storing the result", p50(stored), p90(stored)), ("all together", p50(ends), p90(ends))]
    return Section(title, figures, [Table(f"after the graph, {ENDS} tasks, ms", ("part", "p50", "p90"), rows)])


def _run_all(stand: Stand, comfyui: httpx.Client, picture: str) -> float:
    """Run many tasks; return the share of the time in which the GPU worked."""
    for number in range(WARM_UP):
        stand.finish(stand.submit("comfyui-workflow", _body(picture, number)))
    comfyui.delete("/_state").raise_for_status()
    ids = [stand.submit("comfyui-workflow", _body(picture, WARM_UP + number)) for number in range(JOBS)]
    deadline = time.monotonic() + _LIMIT_S
    while any(stand.http.get(f"/api/v1/tasks/{task_id}").json()["status"] != "completed" for task_id in reversed(ids)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{JOBS} tasks were not completed within {_LIMIT_S:g} s")
        time.sleep(1)
    return _busy_share(comfyui, JOBS)


def _one_by_one(comfyui: httpx.Client) -> float:
    """Do the same jobs as a program does that finishes one before it begins the next."""
    picture = (PORTRAITS / "astronaut.png").read_bytes()
    comfyui.delete("/_state").raise_for_status()
    for number in range(ONE_BY_ONE):
        files = {"image": (f"bench-{number}.png", io.BytesIO(picture), "image/png")}
        uploaded = comfyui.post("/upload/image", files=files).raise_for_status().json()["name"]
        graph = _graph(_FIRST_ALONE + number)
        graph["1"]["inputs"]["image"] = uploaded
        prompt_id = comfyui.post("/prompt", json={"prompt": graph}).raise_for_status().json()["prompt_id"]
        while not (history := comfyui.get(f"/history/{prompt_id}").json()):
            time.sleep(0.02)
        (output,) = history[prompt_id]["outputs"].values()
        comfyui.get("/view", params=output["images"][0]).raise_for_status()
    return _busy_share(comfyui, ONE_BY_ONE)


def _ends(stand: Stand, comfyui: httpx.Client, picture: str) -> tuple[list[float], list[float]]:
    """Return how long tasks took from their graph's end to their own, and how long of that their result took, ms."""
    store = TaskStore(DynamoTable(stand.aws("dynamodb"), stand.outputs["TaskStoreName"], "task_id"))
    ends, stored = [], []
    for number in range(ENDS):
        comfyui.delete("/_state").raise_for_status()
        task_id = stand.submit("comfyui-workflow", _body(picture, _FIRST_END + number))
        stand.finish(task_id)
        task, (prompt,) = store.get(task_id), comfyui.get("/_state").json()["prompts"]
        if task is None or task.completed_ms is None:
            raise RuntimeError(f"task {task_id} has no end")
        ends.append(task.completed_ms - 1000 * prompt["end"])
        stored.append(1000 * task.steps[-1].timings.store_s)
    return ends, stored


def _busy_share(comfyui: httpx.Client, count: int) -> float:
    prompts = comfyui.get("/_state").json()["prompts"]
    if [each["status"] for each in prompts] != ["success"] * count:
        raise RuntimeError(f"{count} prompts were expected, {len(prompts)} were run")
    worked = sum(each["end"] - each["begin"] for each in prompts)
    return float(worked / (prompts[-1]["end"] - prompts[0]["begin"]))


def _slow_down(comfyui: httpx.Client, *, transfer_s: float, gpu_s: float) -> None:
    """Let every upload, every download and every graph take so long."""
    for route, seconds in (("comfyui-upload", transfer_s), ("comfyui-view", transfer_s), ("comfyui-run", gpu_s)):
        fault = {"kind": "hang" if route == "comfyui-run" else "none", "wait_s": seconds, "times": 10 * JOBS}
        faults = [fault | ({"node": "2"} if route == "comfyui-run" else {})] if seconds else []
        comfyui.put(f"/_faults/{route}", json=faults).raise_for_status()


def _body(picture: str, number: int) -> dict[str, Any]:
    return {"workflow": _graph(number), "inputs": {"1.image": {"image_url": picture}}}


def _graph(number: int) -> dict[str, Any]:
    """Return a graph that is none of the others, so that ComfyUI has no result of it."""
    scale = {"image": ["1", 0], "upscale_method": "bilinear", "width": 64 + number, "height": 64, "crop": "disabled"}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
        "2": {"class_type": "ImageScale", "inputs": scale},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "bench"}},
    }
