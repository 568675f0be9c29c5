"""Graphs and ids that are refused, wholly or in part."""

import uuid
from typing import Any

from tests.comfyui.graphs import empty, node, plain, prefix
from tests.comfyui.recorder import Graph, Recorder


async def refusals(recorder: Recorder) -> None:
    """Graphs that are refused before they cost anything."""
    image = empty(recorder)
    saved = node("SaveImage", images=["1", 0], filename_prefix="backlot-test-refused")
    mask_saved = node("SaveImage", images=["2", 0], filename_prefix="backlot-test-refused")
    scaled: dict[str, Any] = {"image": ["1", 0], "upscale_method": "area", "width": 8, "height": 8, "crop": "disabled"}

    def scale(**changes: Any) -> Graph:
        end = node("SaveImage", images=["2", 0], filename_prefix="backlot-test-refused")
        return {"1": image, "2": node("ImageScale", **scaled | changes), "9": end}

    graphs: dict[str, Any] = {
        "no output": {"1": image},
        "nothing": {},
        "unknown class": {"1": node("NoSuchNode"), "9": saved},
        "unknown class with a title": {"1": node("NoSuchNode") | {"_meta": {"title": "Mine"}}, "9": saved},
        "no class": {"1": {"inputs": {}}, "9": saved},
        "missing input": {"1": image, "9": node("SaveImage", images=["1", 0])},
        "missing link": {"9": node("SaveImage", filename_prefix="backlot-test-refused")},
        "link of three": scale(image=["1", 0, 0]),
        "link to nowhere": scale(image=["7", 0]),
        "link to no output": scale(image=["1", 5]),
        "link of the wrong type": {
            "1": image,
            "2": node("ImageToMask", image=["1", 0], channel="red"),
            "9": mask_saved,
        },
        "words for a number": scale(width="wide"),
        "number in words": scale(width="8"),
        "fraction for a whole number": scale(width=8.7),
        "null": scale(width=None),
        "object": scale(width={"a": 1}),
        "too small": scale(width=-1),
        "too big": scale(width=1_000_000),
        "not in the list": scale(upscale_method="magic"),
        "two faults in one node": scale(upscale_method="magic", width=-1),
        "two faults in two nodes": scale(width=-1) | {"1": empty(recorder, height=-1)},
        "no such file": {"1": node("LoadImage", image="backlot-test-no-such-file.png"), "9": saved},
        "file outside": {"1": node("LoadImage", image="../../no-such-file.png"), "9": saved},
        "no inputs": {"1": {"class_type": "EmptyImage"}, "9": saved},
    }
    for name, graph in graphs.items():
        recorder.note("graph", name)
        answer = await recorder.prompt(graph)
        if isinstance(answer, dict) and "prompt_id" in answer:
            recorder.new(f"prompt of {name}", answer["prompt_id"])
    for name, body in {
        "no prompt": {},
        "null prompt": {"prompt": None},
        "not JSON": "{",
    }.items():
        recorder.note("body", name)
        await recorder.post("/prompt", body)
    await recorder.until_idle()


async def cycle(recorder: Recorder) -> None:
    """Nodes that need each other."""
    graph = {
        "1": node("ImageInvert", image=["2", 0]),
        "2": node("ImageInvert", image=["1", 0]),
        "9": node("SaveImage", images=["2", 0], filename_prefix="backlot-test-refused"),
    }
    answer = await recorder.prompt(graph)
    recorder.steps[-1]["body"]["error"]["details"] = "<words>"
    for entry in recorder.steps[-1]["body"]["node_errors"].values():
        for error in entry["errors"]:
            if error["type"].startswith("exception"):
                error["details"] = "<words>"
                error["extra_info"] = sorted(error["extra_info"])
    recorder.note("refused", "error" in answer)


async def partly_valid(recorder: Recorder) -> None:
    """One output is broken: the rest runs, and only the answer tells."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    graph = plain(recorder) | {
        "10": node("SaveImage", images=["11", 0], filename_prefix=prefix(recorder)),
        "11": node("LoadImage", image="backlot-test-no-such-file.png"),
    }
    async with recorder.socket("own", client) as own:
        await recorder.prompt(graph, client_id=client, prompt_id=prompt)
        await own.until_end(prompt)
    await recorder.get(f"/history/{prompt}")


async def prompt_ids(recorder: Recorder) -> None:
    """Which ids are taken, and what becomes of one that is used twice."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    await recorder.prompt({}, prompt_id=recorder.new("upper-case id", str(uuid.uuid4()).upper()))
    await recorder.prompt({}, prompt_id=recorder.new("id without hyphens", uuid.uuid4().hex))
    await recorder.prompt({}, prompt_id="backlot test")
    await recorder.prompt({}, prompt_id=7)
    await recorder.prompt({}, prompt_id=None)
    async with recorder.socket("own", client) as own:
        for _ in range(2):
            await recorder.prompt(plain(recorder), client_id=client, prompt_id=prompt)
            await own.until_end(prompt)
    history = await recorder.get(f"/history/{prompt}")
    recorder.note("entries", len(history))
    answer = await recorder.prompt(plain(recorder))
    recorder.new("id of the server", answer["prompt_id"])
    await recorder.until_idle()


SCENARIOS = (refusals, cycle, partly_valid, prompt_ids)
