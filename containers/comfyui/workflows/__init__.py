"""Workflows of ours: for each operation a graph in API format, `<module>.json`, and its binding, `<module>.py`.

A workflow is found by being here; its module has the operation's name and defines `BINDING`. The graphs run on ComfyUI
0.3.64, whose classes `backlot/comfyui/object_info.json` has, and on 0.33, where scaling needs `resolution_steps`.
"""

import json
from functools import cache
from importlib import import_module
from importlib.resources import files
from pkgutil import iter_modules

from backlot.comfyui.graphs import Binding, Workflow


@cache
def workflows() -> dict[str, Workflow]:
    """Return the workflows by the name of their operation."""
    return {module.name.replace("_", "-"): _workflow(module.name) for module in iter_modules(__path__)}


def _workflow(name: str) -> Workflow:
    binding: Binding = import_module(f"{__name__}.{name}").BINDING
    return Workflow(json.loads((files(__name__) / f"{name}.json").read_text("utf-8")), binding)
