"""One good call of each paid API, and one good answer."""

from typing import Any

from backlot import prompts
from backlot.providers.qwen_vl import QwenVL
from backlot.providers.seedream import Seedream

QWEN_MODEL, SEEDREAM_MODEL = "qwen3-vl-plus", "seedream-4-0-250828"


def find_faces(
    origin: str, *, key: str = "key", picture: str = "data:image/png;base64,AA", limit_s: float = 20.0, **changes: Any
) -> dict[str, Any]:
    """Ask the detector at an origin."""
    client = QwenVL(base_url=f"{origin}/compatible-mode/v1", limit_s=limit_s)
    return client.find_boxes(
        **{"key": key, "model": QWEN_MODEL, "prompt": prompts.FIND_FACES, "image_url": picture} | changes
    )


def generate(
    origin: str, *, key: str = "key", picture: str = "data:image/png;base64,AA", limit_s: float = 20.0, **changes: Any
) -> dict[str, Any]:
    """Ask the generator at an origin."""
    client = Seedream(base_url=f"{origin}/api/v3", limit_s=limit_s)
    call = {
        "key": key,
        "model": SEEDREAM_MODEL,
        "prompt": prompts.SWAP_FACE,
        "images": [picture, picture],
        "size": "1024x1024",
    }
    return client.generate(**call | changes)


CALLS = {"dashscope": find_faces, "ark": generate}

GOOD: dict[str, dict[str, Any]] = {
    "dashscope": {"model": "model-1", "choices": [{"message": {"content": '{"faces": []}'}}]},
    "ark": {"model": "model-1", "data": [{"url": "https://ark.example/x.jpeg"}], "usage": {"generated_images": 1}},
}
