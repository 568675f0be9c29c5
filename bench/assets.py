"""What a deployment uploads: the folders of its functions and of their layer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from local.place import Place


def function_asset(place: Place, name: str) -> Path:
    """Return the folder of a function's code."""
    prefix = f"lambdas.{name}."
    return next(
        _folder(place, resource)
        for resource in _resources(place)
        if resource["Type"] == "AWS::Lambda::Function" and resource["Properties"]["Handler"].startswith(prefix)
    )


def functions(place: Place) -> list[str]:
    """Return the names of the functions of ours."""
    deployed = (each for each in _resources(place) if each["Type"] == "AWS::Lambda::Function")
    handlers = [each["Properties"]["Handler"] for each in deployed]
    return [handler.split(".")[1] for handler in handlers if handler.startswith("lambdas.")]


def layer_asset(place: Place) -> Path:
    """Return the zip file of the layer."""
    layers = (resource for resource in _resources(place) if resource["Type"] == "AWS::Lambda::LayerVersion")
    return _folder(place, next(layers))


def _folder(place: Place, resource: dict[str, Any]) -> Path:
    return place.assembly / str(resource["Metadata"]["aws:asset:path"])


@cache
def _resources(place: Place) -> list[dict[str, Any]]:
    templates = [json.loads(path.read_text()) for path in sorted(place.assembly.glob("*.template.json"))]
    return [resource for template in templates for resource in template["Resources"].values()]
