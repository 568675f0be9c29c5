"""Where what a few words name is in a picture, as far as a face tells: the person, the face, the hair, the clothes."""

import re

import cv2
import numpy as np

from local.stand_ins import body_parts
from local.stand_ins.body_parts import FACE, HAIR, LEFT_ARM, LEFT_LEG, PANTS, RIGHT_ARM, RIGHT_LEG, UPPER_CLOTHES
from local.stand_ins.faces import FaceBox, Pixels, find_faces, meant

#: What words name, in labels of the body parser's stand-in; the first line of which a word occurs counts.
_NOUNS = (
    ({"face", "faces"}, ()),
    ({"hair", "hat", "cap"}, (HAIR,)),
    ({"head", "heads"}, (HAIR, FACE)),
    ({"shirt", "suit", "jacket", "uniform", "clothes", "dress", "coat"}, (UPPER_CLOTHES,)),
    ({"trousers", "pants", "skirt"}, (PANTS,)),
    ({"arm", "arms", "sleeve", "sleeves"}, (LEFT_ARM, RIGHT_ARM)),
    ({"leg", "legs"}, (LEFT_LEG, RIGHT_LEG)),
    ({"person", "people", "woman", "man", "girl", "boy", "astronaut", "officer", "actor"}, tuple(range(1, 18))),
)


def located(pixels: Pixels, words: str) -> list[FaceBox]:
    """Return the boxes of what some words name, the best match first; none if no noun is known or nobody is there.

    Only the person with the largest face has parts; of faces, all are found that the words describe.

    Shapes:
        pixels (H, W, 3) uint8 BGR.
    """
    said = set(re.findall(r"[a-z]+", words.lower()))
    wanted = next((labels for nouns, labels in _NOUNS if said & nouns), None)
    faces = find_faces(pixels) if wanted is not None else []
    if not faces or wanted is None:
        return []
    if not wanted:
        return meant(words, faces, pixels.shape[1])
    found = np.isin(body_parts.parse(pixels), wanted).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(found)
    return [FaceBox(left, top, left + width, top + height)] if width else []
