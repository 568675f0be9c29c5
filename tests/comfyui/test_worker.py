"""The worker of the GPU lane beside a real ComfyUI: AWS is in memory, everything else is as it is."""

import asyncio
import io
import json
import random
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from PIL import Image

from backlot.clock import now_ms
from tests.comfyui.graphs import Unfit, node, sampling
from tests.comfyui.scenarios.answers import CLASSES
from tests.wire import gpu_lane
from tests.wire.gpu_lane import CDN, EDIT, NODE_CLASSES, Site, in_loop, inverted, png, site, until

USED = json.dumps(sorted({*NODE_CLASSES, *CLASSES.split(), "CLIPTextEncode"}))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real server takes its time to start, and to load models."""
    monkeypatch.setattr(gpu_lane, "PATIENCE_S", 180.0)


def beside(url: str, folder: Path, **settings: Any) -> AbstractAsyncContextManager[Site]:
    """Run a worker beside the server at an address."""
    return site(folder, **{"comfyui_command": "", "comfyui_url": url, "node_classes": USED} | settings)


def scaling(steps: int = 30) -> dict[str, Any]:
    """Return the step's input of a graph that is at work for some seconds, on pixels that were not seen before."""
    colour = random.randrange(2**24)
    graph = {"1": node("EmptyImage", width=64, height=64, batch_size=1, color=colour)}
    for at in range(2, steps):
        side = 1024 + 8 * at
        graph[str(at)] = node(
            "ImageScale", image=[str(at - 1), 0], upscale_method="lanczos", width=side, height=side, crop="disabled"
        )
    graph["99"] = node("SaveImage", images=[str(steps - 1), 0], filename_prefix="x")
    return {"workflow": graph, "inputs": {}}


def sampler(url: str, steps: int) -> dict[str, Any]:
    """Return the step's input of a graph with a sampler, whose node is 6."""
    try:
        graph = sampling(httpx.get(f"{url}/object_info").json(), steps=steps, seed=random.randrange(2**32))
    except Unfit as unfit:
        pytest.skip(str(unfit))
    return {"workflow": graph, "inputs": {}}


async def last_end(url: str) -> str:
    """Return the name of the last message of the newest history entry."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/history?max_items=1") as response:
        (entry,) = (await response.json()).values()
    return entry["status"]["messages"][-1][0]


async def at_work(place: Site, task_id: str, node_id: str | None = None) -> None:
    """Wait until a task's graph runs, or a node of it."""
    await until(lambda: any(each.node == node_id if node_id else each.node for each in place.notes.told[task_id]))


@in_loop
async def test_graph_of_a_caller_is_run_and_its_picture_stored(tmp_path, comfyui_url):
    async with beside(comfyui_url, tmp_path) as place:
        place.hosts.pictures[EDIT["image_url"]] = png("white")
        task_id = place.submit("comfyui-workflow", inverted())
        kind, output = await place.answer(task_id)
        await place.is_settled()
    key = f"images/comfyui-results/comfyui-workflow/{task_id}.png"
    assert kind == "done", output
    assert output["images"] == [{"result_url": f"{CDN}/{key}", "width": 32, "height": 24, "content_type": "image/png"}]
    assert output["detail"]["comfyui"] == httpx.get(f"{comfyui_url}/system_stats").json()["system"]["comfyui_version"]
    assert "engine" not in output["detail"]
    assert Image.open(io.BytesIO(place.objects.kept[key])).getpixel((0, 0)) == (0, 0, 0)


@in_loop
async def test_same_graph_again_makes_a_file_of_its_own(tmp_path, comfyui_url):
    async with beside(comfyui_url, tmp_path) as place:
        tasks = [place.submit("comfyui-workflow", inverted()) for _ in range(2)]
        assert [(await place.answer(task_id))[0] for task_id in tasks] == ["done", "done"]
    assert len(place.objects.kept) == 2


@in_loop
async def test_animation_and_pictures_are_stored(tmp_path, comfyui_url):
    graph = {
        "30": node("SaveImage", images=["3", 0], filename_prefix="x"),
        "1": node("EmptyImage", width=32, height=24, batch_size=1, color=255),
        "2": node("LoadImage"),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node(
            "SaveAnimatedWEBP",
            images=["3", 0],
            filename_prefix="x",
            fps=6.0,
            lossless=True,
            quality=80,
            method="default",
        ),
        "5": node("PreviewImage", images=["3", 0]),
    }
    inputs = {"2.image": {"image_url": EDIT["image_url"]}}
    async with beside(comfyui_url, tmp_path) as place:
        task_id = place.submit("comfyui-workflow", {"workflow": graph, "inputs": inputs})
        kind, output = await place.answer(task_id)
    assert kind == "done", output
    assert [each["node"] for each in output["detail"]["outputs"]] == ["30", "30", "4"]
    assert [each["content_type"] for each in output["files"]] == ["image/webp"]
    assert len(output["images"]) == 2


@in_loop
async def test_sampler_tells_its_steps_and_shows_previews(tmp_path, comfyui_url):
    async with beside(comfyui_url, tmp_path) as place:
        task_id = place.submit("comfyui-workflow", sampler(comfyui_url, steps=60), preview=True)
        kind, output = await place.answer(task_id)
    assert kind == "done", output
    told = place.notes.told[task_id]
    assert [progress.value for progress in told] == sorted(progress.value for progress in told)
    assert ("KSampler", 60) in {(progress.node_class, progress.steps) for progress in told}
    assert told[-1].preview_url is not None
    preview = place.objects.kept[told[-1].preview_url.removeprefix(f"{CDN}/")]
    assert Image.open(io.BytesIO(preview)).format == "JPEG"


@pytest.mark.parametrize("graph", ["scaling", "sampler"])
@in_loop
async def test_cancel_reaches_a_running_prompt(tmp_path, comfyui_url, graph):
    request = scaling() if graph == "scaling" else sampler(comfyui_url, steps=10_000)
    async with beside(comfyui_url, tmp_path) as place:
        task_id = place.submit("comfyui-workflow", request)
        await at_work(place, task_id, "6" if graph == "sampler" else None)
        place.tasks.cancel(task_id, now_ms())
        assert (await place.answer(task_id))[0] == "Cancelled"
        assert await last_end(comfyui_url) == "execution_interrupted"
        assert (await place.answer(place.submit("comfyui-workflow", inverted())))[0] == "done"
        await place.is_settled()
    assert len(place.objects.kept) == 1


@pytest.mark.parametrize(
    ("node_id", "change", "words"),
    [
        ("2", {"class_type": "NoSuchNode"}, "node 2"),
        ("2", {"inputs": {"image": ["1", 7]}}, "node 2, image"),
        ("9", {"inputs": {"filename_prefix": "x"}}, "node 9, images"),
        ("3", {"class_type": "ImageInvert"}, "node 3"),
    ],
)
@in_loop
async def test_bad_graph_is_refused_and_harms_nobody(tmp_path, comfyui_url, node_id, change, words):
    request = inverted()
    request["workflow"][node_id] = request["workflow"].get(node_id, {}) | change
    async with beside(comfyui_url, tmp_path) as place:
        kind, message = await place.answer(place.submit("comfyui-workflow", request))
        assert (kind, words in message) == ("WorkflowRefused", True), message
        assert (await place.answer(place.submit("comfyui-workflow", inverted())))[0] == "done"


@in_loop
async def test_node_that_breaks_fails_the_task_and_is_named(tmp_path, comfyui_url):
    request = inverted()
    request["workflow"]["1"] = node("EmptyImage", width=16384, height=16384, batch_size=4096, color=0)
    request["inputs"] = {}
    async with beside(comfyui_url, tmp_path) as place:
        kind, message = await place.answer(place.submit("comfyui-workflow", request))
        assert kind in ("WorkflowFailed", "GpuOutOfMemory")
        assert "EmptyImage" in message
        assert (await place.answer(place.submit("comfyui-workflow", inverted())))[0] == "done"


@in_loop
async def test_comfyui_that_is_killed_is_started_again_and_loses_no_task(tmp_path, comfyui_command):
    async with site(tmp_path, **comfyui_command, node_classes=USED) as place:
        running = place.submit("comfyui-workflow", scaling())
        waiting = place.submit("comfyui-workflow", inverted())
        await at_work(place, running)
        place.worker._deps.comfyui._process._process.kill()
        assert [(await place.answer(each))[0] for each in (running, waiting)] == ["done", "done"]
        await place.is_settled()
    assert len(place.objects.kept) == 2
    assert place.queue.dead == []


@in_loop
async def test_worker_that_ends_gives_a_running_prompt_back(tmp_path, comfyui_command):
    async with site(tmp_path, **comfyui_command, node_classes=USED, drain_limit_s=0) as place:
        task_id = place.submit("comfyui-workflow", scaling(steps=60))
        await at_work(place, task_id)
        place.worker.end("a test")
        await asyncio.wait_for(place.running, 60)
        await until(lambda: [kept.receives for kept in place.queue.kept.values()] == [0])
    assert place.objects.kept == {}
