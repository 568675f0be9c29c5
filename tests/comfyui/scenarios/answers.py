"""What a server says of itself, and of things that it does not have."""

from typing import Any

from tests.comfyui.recorder import Recorder


async def unknown_things(recorder: Recorder) -> None:
    """What is not there."""
    unknown = recorder.new("unknown prompt")
    await recorder.get(f"/history/{unknown}")
    await recorder.post("/history", {"delete": [unknown]})
    await recorder.get("/view", filename="backlot-test-no-such-file.png", type="output")
    await recorder.get("/view", filename="backlot-test-no-such-file.png", type="nowhere")
    await recorder.get("/view", filename="../backlot-test.png", type="output")
    await recorder.get("/view", filename="/etc/hostname", type="output")
    await recorder.get("/view", filename="hostname", type="output", subfolder="../../../../etc")
    await recorder.get("/view")
    await recorder.get("/object_info/NoSuchNode")
    await recorder.get("/models/no-such-folder")
    await recorder.get("/no-such-route")
    await recorder.post("/interrupt", {"prompt_id": unknown})
    await recorder.post("/queue", {"delete": [unknown]})


async def system_stats(recorder: Recorder) -> None:
    """The form of what a server says about its machine."""
    shown = await recorder.peek("/system_stats")
    kept = ("os", "ram_total", "ram_free", "comfyui_version", "python_version", "pytorch_version", "argv")
    recorder.note("system", {key: type(shown["system"][key]).__name__ for key in kept})
    keys = ("name", "type", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free")
    recorder.note("devices", [sorted(set(keys) & set(device)) for device in shown["devices"]])


#: Node classes whose schemas matter to Backlot.
CLASSES = """
    CFGNorm CheckpointLoaderSimple CLIPLoader EmptyImage EmptySD3LatentImage FluxKontextImageScale ImageBatch ImageBlend
    ImageInvert ImageScale KSampler LoadImage LoraLoaderModelOnly ModelSamplingAuraFlow PreviewImage SaveAnimatedWEBP
    SaveImage TextEncodeQwenImageEdit TextEncodeQwenImageEditPlus UNETLoader VAEDecode VAEEncode VAELoader
"""


async def schemas(recorder: Recorder) -> None:
    """What `/object_info` says of the nodes that these scenarios and our workflows use, in short."""
    shown = await recorder.peek("/object_info")
    for name in CLASSES.split():
        info = shown.get(name)
        if info is None:
            recorder.note(name, None)
            continue
        inputs = {
            category: {field: _short(entry) for field, entry in sorted(info["input"].get(category, {}).items())}
            for category in ("required", "optional")
        }
        recorder.note(name, {**inputs, "output": info["output"], "output_node": info["output_node"]})
        alone = await recorder.peek(f"/object_info/{name}")
        assert alone == {name: info}


def _short(entry: list[Any]) -> Any:
    """Return a field's type, or the length of its list, as files and lists of samplers grow with each version."""
    kind, options = entry[0], entry[1] if len(entry) > 1 else {}
    bounds = {key: options[key] for key in ("default", "min", "max") if key in options}
    return ["list", {}] if isinstance(kind, list) or kind == "COMBO" else [kind, bounds]


SCENARIOS = (unknown_things, system_stats, schemas)
