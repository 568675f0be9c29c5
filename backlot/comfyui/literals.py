"""What an input of a node class takes that a graph writes out instead of linking it."""

import math
import re
from collections.abc import Iterator
from typing import Any

from backlot.comfyui import MAX_WHOLE_NUMBER
from backlot.comfyui.schemas import LITERAL_TYPES, NodeInput, NodeSchemas

#: How deep a literal may be nested.
_MAX_DEPTH = 8

#: How many of an input's choices are named.
_MAX_LISTED = 24

#: What a text has that ComfyUI or an operating system might take for a place: separators, drives, other folders.
_PLACE = re.compile(r"[/\\]|^\s*\.\.?\s*$|^\s*[A-Za-z]:|\[(input|output|temp)\]\s*$")

_WORDS = {"INT": "a whole number", "FLOAT": "a number", "STRING": "a text", "BOOLEAN": "true or false"}


def names_place(value: Any) -> bool:
    """Tell whether a text of a literal may name a file, a folder or a host."""
    return any(isinstance(each, str) and _PLACE.search(each) for each in _leaves(value))


def transfer_problem(value: Any) -> str | None:
    """Say what of a literal could not be handed on to ComfyUI, whichever input it is for; None if all can."""
    if _is_deeper(value, _MAX_DEPTH):
        return f"it is nested deeper than {_MAX_DEPTH} levels"
    for each in _leaves(value):
        if isinstance(each, int) and abs(each) > MAX_WHOLE_NUMBER:
            return f"whole numbers beyond {MAX_WHOLE_NUMBER} (2^53 - 1) cannot be handed on exactly"
        if isinstance(each, float) and not math.isfinite(each):
            return "it has to be a finite number"
    return None


def value_problem(wanted: NodeInput, value: Any, schemas: NodeSchemas) -> str | None:
    """Say why an input does not take a literal, None if it does.

    Args:
        wanted: the input.
        value: a literal that can be handed on.
        schemas: which the input is of.
    """
    if "COMBO" in wanted.types:
        return _choice_problem(wanted, value, are_all_listed=schemas.is_complete)
    if wanted.types & LITERAL_TYPES:
        return _type_problem(wanted, value) or _range_problem(wanted, value)
    # Types that no class makes are those of a custom node's own literals.
    if not wanted.is_dynamic and wanted.types <= schemas.linked_types:
        return f"it takes a link to {', '.join(sorted(wanted.types))}"
    return None


def _type_problem(wanted: NodeInput, value: Any) -> str | None:
    if isinstance(value, bool):
        fits = "BOOLEAN" in wanted.types
    elif isinstance(value, float):
        is_whole = value.is_integer() and abs(value) <= MAX_WHOLE_NUMBER
        fits = "FLOAT" in wanted.types or ("INT" in wanted.types and is_whole)
    elif isinstance(value, int):
        fits = bool(wanted.types & {"INT", "FLOAT"})
    else:
        fits = isinstance(value, str) and "STRING" in wanted.types
    return None if fits else f"it takes {' or '.join(_WORDS[name] for name in sorted(wanted.types & LITERAL_TYPES))}"


def _range_problem(wanted: NodeInput, value: Any) -> str | None:
    if isinstance(value, str | bool):
        return None
    if wanted.minimum is not None and value < wanted.minimum:
        return f"it is at least {wanted.minimum}"
    if wanted.maximum is not None and value > wanted.maximum:
        return f"it is at most {wanted.maximum}"
    return None


def _choice_problem(wanted: NodeInput, value: Any, *, are_all_listed: bool) -> str | None:
    choices = wanted.choices
    if choices is None or (not choices and not are_all_listed):
        return None if isinstance(value, str | list if wanted.takes_several else str) else "it takes one of a list"
    chosen = value if wanted.takes_several and isinstance(value, list) else [value]
    for each in chosen:
        # 1 and true are equal and different choices.
        if not any(each == choice and type(each) is type(choice) for choice in choices):
            shown = ", ".join(map(str, choices[:_MAX_LISTED])) + (" …" if len(choices) > _MAX_LISTED else "")
            return f"it takes one of: {shown}" if choices else "this ComfyUI has no file to choose from"
    return None


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return levels == 0 or any(
        _is_deeper(each, levels - 1) for each in (value.values() if isinstance(value, dict) else value)
    )


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the scalars of a literal, keys of objects among them."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
