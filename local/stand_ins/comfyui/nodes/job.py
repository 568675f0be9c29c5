"""What a node may know of the prompt that it belongs to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from local.stand_ins.comfyui.files import Folders
from local.stand_ins.comfyui.records import Settings
from local.stand_ins.comfyui.validation import Graph


@dataclass(frozen=True)
class Job:
    """One prompt, as its nodes see it.

    Args:
        folders: where files lie.
        graph: the prompt; it is written into files.
        extra_data: its `extra_pnginfo` is written into files, too.
        settings: how long a step takes.
        tick: tells that a step is done: its number, their number, and how the picture looks now.
    """

    folders: Folders
    graph: Graph
    extra_data: dict[str, Any]
    settings: Settings
    tick: Callable[[int, int, Callable[[], Image.Image]], Awaitable[None]]
