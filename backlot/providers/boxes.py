"""Reads face boxes out of what a language model wrote: JSON as it should be, and as real models send it."""

import re
from collections.abc import Iterator

from backlot.images.masks import GRID, Box

#: Names under which models give a box; of several boxes of one face the earliest name here counts.
BOX_KEYS = ("bbox_2d", "bbox", "head_bbox", "face_bbox")

# Every repetition is possessive (`*+`, `?+`): a text that is no box after all is given up where it differs, instead of
# being read again in all the ways in which its spaces could be shared out.
_NUMBER = r"\s*+[\"']?+(-?+\d++(?:\.\d++)?+)[\"']?+\s*+"
_FOUR = rf"\[\s*+(?:\[)?+{_NUMBER},{_NUMBER}(?:\]\s*+,\s*+\[|,){_NUMBER},{_NUMBER}\]"
_NAMED = re.compile(rf"\b({'|'.join(BOX_KEYS)})[\"']?+\s*+:\s*+{_FOUR}")
_BARE = re.compile(_FOUR)
_BRACE = re.compile(r"[{}]")

#: The beginning of a box that is never completed.
_ATTEMPT = re.compile(rf"{'|'.join(BOX_KEYS)}|\[\s*+[\"']?+-?+\d")


def read_boxes(text: str) -> list[Box] | None:
    """Find the boxes in a model's answer.

    Models wrap the JSON in fences and prose, name boxes differently, give one face two of them (its own and the
    head's), write numbers as texts or floats, give corners as pairs or in the wrong order, and break the syntax around
    a box (a doubled brace, a missing comma, an end that was cut off). Boxes are therefore looked for by their own form:
    four numbers under one of `BOX_KEYS`; if there is no such key in the whole text, any four numbers in brackets.

    The time that it takes grows with the text's length and with nothing else, whatever the text is.

    Args:
        text: the message of the model.

    Returns:
        The boxes in the model's order, clamped to the grid of 1000, those without area left out. An empty list if the
        answer says that there are none, None if it tries to name some and none can be read.
    """
    found = list(_named(text)) or [match.groups() for match in _BARE.finditer(text)]
    if not found:
        cut_off = text.count("{") != text.count("}") or text.count("[") != text.count("]")
        return None if cut_off or _ATTEMPT.search(text) else []
    boxes = [_box(*(float(number) for number in numbers)) for numbers in found]
    return [box for box in boxes if not box.is_empty]


def _named(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the numbers of each face's box: what stands in one object under different names is one face."""
    face: tuple[str, ...] = ()
    rank = end = 0
    for match in _NAMED.finditer(text):
        key, *numbers = match.groups()
        other_name = BOX_KEYS.index(key) != rank
        if face and other_name and not _BRACE.search(text, end, match.start()):
            if BOX_KEYS.index(key) < rank:
                face, rank = tuple(numbers), BOX_KEYS.index(key)
        else:
            if face:
                yield face
            face, rank = tuple(numbers), BOX_KEYS.index(key)
        end = match.end()
    if face:
        yield face


def _box(*numbers: float) -> Box:
    x1, y1, x2, y2 = (min(max(number, 0.0), float(GRID)) for number in numbers)
    return Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
