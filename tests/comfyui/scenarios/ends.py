"""What prompts make, and how they end."""

import uuid

from tests.comfyui.graphs import empty, node, picture, plain, prefix
from tests.comfyui.recorder import Recorder
from tests.comfyui.scenarios.kept import nothing


async def one_prompt(recorder: Recorder) -> None:
    """From submitting to the file."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    async with recorder.socket("own", client) as own:
        await recorder.get("/prompt")
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=prompt)
        await own.until_end(prompt)
    history = await recorder.get(f"/history/{prompt}")
    (image,) = history[prompt]["outputs"]["9"]["images"]
    await recorder.get("/view", **image)
    await recorder.get("/view", **image, preview="webp;90")
    await recorder.get("/view", **image, channel="rgb")
    await recorder.get("/queue")


async def two_files_of_one_node(recorder: Recorder) -> None:
    """A batch is stored as one file an image, in a folder of the prefix."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    graph = plain(recorder, batch_size=2)
    graph["9"]["inputs"]["filename_prefix"] += "/in/folders"
    async with recorder.socket("own", client) as own:
        await recorder.prompt(graph, client_id=client, prompt_id=prompt)
        await own.until_end(prompt)
    history = await recorder.get(f"/history/{prompt}")
    for image in history[prompt]["outputs"]["9"]["images"]:
        await recorder.get("/view", **image)


async def animation_and_preview(recorder: Recorder) -> None:
    """Output that moves, and output that is temporary."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    name = prefix(recorder)
    graph = {
        "1": empty(recorder),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node(
            "SaveAnimatedWEBP",
            images=["3", 0],
            filename_prefix=name,
            fps=6.0,
            lossless=True,
            quality=80,
            method="default",
        ),
        "5": node("PreviewImage", images=["2", 0]),
    }
    async with recorder.socket("own", client) as own:
        await recorder.prompt(graph, client_id=client, prompt_id=prompt)
        await own.until_end(prompt)
    history = await recorder.get(f"/history/{prompt}")
    for end in ("4", "5"):
        await recorder.get("/view", **history[prompt]["outputs"][end]["images"][0])


async def uploads(recorder: Recorder) -> None:
    """Names that uploads get, and a graph that uses them."""
    name, folder = f"{uuid.uuid4().hex}.png", recorder.new("folder", uuid.uuid4().hex)
    recorder.new("name", name.removesuffix(".png"))
    await recorder.upload(name, picture("red"))
    await recorder.upload(name, picture("red"))
    await recorder.upload(name, picture("blue"))
    await recorder.upload(name, picture("green"))
    await recorder.upload(name, picture("blue", (20, 20)), overwrite="true")
    await recorder.upload(name, picture("red"), subfolder=folder)
    await recorder.upload(name, picture("red"), type="temp")
    await recorder.upload(name, picture("red"), subfolder="../..")
    await recorder.upload(name, None)
    await recorder.get("/view", filename=name, type="input")
    await recorder.get("/view", filename=name, type="input", subfolder=folder)
    client, prompt = recorder.new("client"), recorder.new("prompt")
    graph = {
        "1": node("LoadImage", image=f"{folder}/{name}"),
        "2": node("LoadImage", image=f"{name.removesuffix('.png')} (1).png [input]"),
        "3": node("ImageScale", image=["2", 0], upscale_method="bilinear", width=40, height=0, crop="disabled"),
        "4": node("ImageBlend", image1=["1", 0], image2=["3", 0], blend_factor=0.5, blend_mode="normal"),
        "9": node("SaveImage", images=["4", 0], filename_prefix=prefix(recorder)),
    }
    async with recorder.socket("own", client) as own:
        await recorder.prompt(graph, client_id=client, prompt_id=prompt)
        await own.until_end(prompt)
    history = await recorder.get(f"/history/{prompt}")
    await recorder.get("/view", **history[prompt]["outputs"]["9"]["images"][0])


async def extra_data(recorder: Recorder) -> None:
    """What is sent along is kept in the history, and its `extra_pnginfo` in the file."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    sent = {"extra_pnginfo": {"task": "17"}, "backlot": {"a": 1}}
    async with recorder.socket("own", client, nothing) as own:
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=prompt, extra_data=sent)
        await own.until_end(prompt)
    history = await recorder.get(f"/history/{prompt}")
    await recorder.get("/view", **history[prompt]["outputs"]["9"]["images"][0])


async def no_client(recorder: Recorder) -> None:
    """A prompt without a client: others hear of the queue, and of progress, but not of its end."""
    prompt = recorder.new("prompt")
    async with recorder.socket("other", recorder.new("other client")) as other:
        await recorder.prompt(plain(recorder), prompt_id=prompt)
        await other.until("status", lambda data: data["status"]["exec_info"]["queue_remaining"] == 0)
    await recorder.get(f"/history/{prompt}")


async def fails_at_work(recorder: Recorder) -> None:
    """A node raises an error: a file that is no image."""
    client, prompt, name = recorder.new("client"), recorder.new("prompt"), f"{uuid.uuid4().hex}.png"
    recorder.new("name", name.removesuffix(".png"))
    await recorder.upload(name, b"not an image")
    graph = plain(recorder)
    graph["2"] = node("LoadImage", image=name)
    async with recorder.socket("own", client) as own:
        await recorder.prompt(graph, client_id=client, prompt_id=prompt)
        await own.until("execution_error")
        await own.until_end(prompt)
    await recorder.get(f"/history/{prompt}")


async def cached(recorder: Recorder) -> None:
    """The same graph again: nothing runs, and the earlier file is named again; then all but the end is known."""
    client, graph = recorder.new("client"), plain(recorder)
    async with recorder.socket("own", client) as own:
        for name in ("first", "again", "changed"):
            prompt = recorder.new(f"{name} prompt")
            if name == "changed":
                graph["9"]["inputs"]["filename_prefix"] = prefix(recorder)
            await recorder.prompt(graph, client_id=client, prompt_id=prompt)
            await own.until_end(prompt)
            await recorder.get(f"/history/{prompt}")


async def free(recorder: Recorder) -> None:
    """Memory is freed: what was cached is made again."""
    client, graph = recorder.new("client"), plain(recorder)
    async with recorder.socket("own", client, nothing) as own:
        for name in ("first", "again", "after"):
            prompt = recorder.new(f"{name} prompt")
            await recorder.prompt(graph, client_id=client, prompt_id=prompt)
            await own.until_end(prompt)
            known = next(each for each in own.messages[::-1] if each["type"] == "execution_cached")
            recorder.note(f"{name}: cached", sorted(known["data"]["nodes"]))
            if name == "again":
                await recorder.post("/free", {"unload_models": True, "free_memory": True})
                # What is asked is done after the next prompt at the latest.
                other = recorder.new("other prompt")
                await recorder.prompt(plain(recorder, width=8), client_id=client, prompt_id=other)
                await own.until_end(other)


SCENARIOS = (
    one_prompt,
    two_files_of_one_node,
    animation_and_preview,
    uploads,
    extra_data,
    no_client,
    fails_at_work,
    cached,
    free,
)
