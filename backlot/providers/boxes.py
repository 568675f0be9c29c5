"""Reads face boxes out of what a language model wrote: JSON as it should be, and as real models send it."""

import re

from backlot.images.masks import GRID, Box

#: Names under which models give a box.
BOX_KEYS = ("bbox_2d", "bbox", "head_bbox", "face_bbox")

_NUMBER = r"\s*[\"']?(-?\d+(?:\.\d+)?)[\"']?\s*"
_FOUR = rf"\[\s*\[?{_NUMBER},{_NUMBER}(?:\]\s*,\s*\[|,){_NUMBER},{_NUMBER}\]"
_NAMED = re.compile(rf"\b(?:{'|'.join(BOX_KEYS)})[\"']?\s*:\s*{_FOUR}")
_BARE = re.compile(_FOUR)

#: The beginning of a box that is never completed.
_ATTEMPT = re.compile(rf"{'|'.join(BOX_KEYS)}|\[\s*[\"']?-?\d")


def read_boxes(text: str) -> list[Box] | None:
    """Find the boxes in a model's answer.

    Models wrap the JSON in fences and prose, name boxes differently, write numbers as texts or floats, give corners
    as pairs or in the wrong order, and break the syntax around a box (a doubled brace, a missing comma, an end that
    was cut off). Boxes are therefore looked for by their own form: four numbers under one of `BOX_KEYS`; if there is
    no such key in the whole text, any four numbers in brackets.

    Args:
        text: the message of the model.

    Returns:
        The boxes in the model's order, clamped to the grid of 1000, those without area left out. An empty list if the
        answer says that there are none, None if it tries to name some and none can be read.
    """
    found = [match.groups() for match in _NAMED.finditer(text)] or [match.groups() for match in _BARE.finditer(text)]
    if not found:
        cut_off = text.count("{") != text.count("}") or text.count("[") != text.count("]")
        return None if cut_off or _ATTEMPT.search(text) else []
    boxes = [_box(*(float(number) for number in numbers)) for numbers in found]
    return [box for box in boxes if not box.is_empty]


def _box(*numbers: float) -> Box:
    x1, y1, x2, y2 = (min(max(number, 0.0), float(GRID)) for number in numbers)
    return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
