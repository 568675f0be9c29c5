"""Graphs for scenarios and tests, of nodes that every ComfyUI has."""

import io
import uuid
from typing import Any

from PIL import Image

from tests.comfyui.recorder import Graph, Recorder

#: Loaders of what a sampler needs, and their fields.
_LOADERS = {"UNETLoader": "unet_name", "CLIPLoader": "clip_name", "VAELoader": "vae_name"}


class Unfit(Exception):
    """The server lacks something that is needed."""


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return a node in API format."""
    return {"class_type": class_type, "inputs": inputs}


def empty(recorder: Recorder, **changes: Any) -> dict[str, Any]:
    """Return a node that makes an image that the server has not made before."""
    return node("EmptyImage", **{"width": 64, "height": 48, "batch_size": 1, "color": recorder.colour} | changes)


def plain(recorder: Recorder, **changes: Any) -> Graph:
    """Return a graph of three nodes that is done at once."""
    return {
        "1": empty(recorder, **changes),
        "2": node("ImageInvert", image=["1", 0]),
        "9": node("SaveImage", images=["2", 0], filename_prefix=prefix(recorder)),
    }


def slow(recorder: Recorder) -> Graph:
    """Return a graph that is at work for a while, with many borders between nodes to be interrupted at."""
    graph = {"1": empty(recorder)}
    for at in range(2, 10):
        side = 1536 + 8 * at
        graph[str(at)] = node(
            "ImageScale", image=[str(at - 1), 0], upscale_method="lanczos", width=side, height=side, crop="disabled"
        )
    small = node("ImageScale", image=["9", 0], upscale_method="area", width=64, height=48, crop="disabled")
    return graph | {"10": small, "11": node("PreviewImage", images=["10", 0])}


def prefix(recorder: Recorder) -> str:
    """Return a name for output files that no other run has."""
    return recorder.new("prefix", f"backlot-test-{uuid.uuid4().hex}")


def picture(colour: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    """Return a PNG."""
    encoded = io.BytesIO()
    Image.new(mode, size, colour).save(encoded, "PNG")
    return encoded.getvalue()


def sampling(object_info: dict[str, Any], *, steps: int, seed: int) -> Graph:
    """Return a graph that samples a small picture with the first models that a server has.

    Args:
        object_info: what the server says of its classes.
        steps: of the sampler, which is node 6.
        seed: of the sampler.

    Raises:
        Unfit: it has none.
    """
    names: dict[str, str] = {}
    for loader, field in _LOADERS.items():
        listed = object_info[loader]["input"]["required"][field]
        files = listed[0] if isinstance(listed[0], list) else listed[1]["options"]
        # `pixel_space` is a VAE without a file, and decodes no latent.
        found = [each for each in files if each != "pixel_space"]
        if not found:
            raise Unfit(f"the server has no model for {loader}")
        names[field] = found[0]
    links = {"model": ["1", 0], "positive": ["4", 0], "negative": ["4", 0], "latent_image": ["5", 0]}
    sampler = {"steps": steps, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    return {
        "1": node("UNETLoader", unet_name=names["unet_name"], weight_dtype="default"),
        "2": node("CLIPLoader", clip_name=names["clip_name"], type="sd3"),
        "3": node("VAELoader", vae_name=names["vae_name"]),
        "4": node("CLIPTextEncode", clip=["2", 0], text="a test"),
        "5": node("EmptySD3LatentImage", width=256, height=256, batch_size=1),
        "6": node("KSampler", **links, **sampler, seed=seed),
        "7": node("VAEDecode", samples=["6", 0], vae=["3", 0]),
        "9": node("SaveImage", images=["7", 0], filename_prefix="backlot-test"),
    }
