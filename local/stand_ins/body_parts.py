"""Stand-in of the body parser: clothes and body parts by classical methods, in ATR's labels, marked as what it is.

A face says where a body must be; GrabCut finds the person's outline near it; colour and proportions split the person
into hair, face, arms, upper and lower clothes. It is a true result of the flow and says nothing about the real model.
"""

from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from local.stand_ins.faces import FaceBox, Pixels, find_faces
from local.stand_ins.model import StandInModel, picture, png
from sagemaker_models.serving.model import ModelError, Outputs, Request

#: ATR's numbers of what is told apart here.
BACKGROUND, HAIR, UPPER_CLOTHES, PANTS, FACE, LEFT_LEG, RIGHT_LEG, LEFT_ARM, RIGHT_ARM = 0, 2, 4, 6, 11, 12, 13, 14, 15
LABELS = 18

#: The outline is found on a copy of this size, pixels; GrabCut's cost grows faster than the area.
OUTLINE_PX = 256
ITERATIONS = 3

#: Heights below the chin in faces (from forehead to chin), and widths in faces, of an average body.
SHOULDERS, HIPS, FEET = 0.55, 3.3, 8.6
TORSO_WIDTH, CORE_WIDTH, LEGS_WIDTH, REACH_WIDTH = 4.6, 1.5, 2.4, 6.5

#: Largest distance of a skin's colour from that of the face, in Lab's a and b.
SKIN = 13.0

#: GrabCut wants a box even where a mask says more.
_NO_BOX = (0, 0, 1, 1)

#: What each region is made of unless a request says otherwise.
REGIONS = {"upper": [4, 7], "lower": [5, 6, 7]}

GREEN = (0, 255, 0)

#: As the real model takes them.
Region = Literal["upper", "lower"]
LabelSet = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Labels = NDArray[np.uint8]


class Parameters(BaseModel):
    """What a request may choose.

    Args:
        regions: label sets that take the place of `REGIONS`, by region.
        output: `binary` for a mask of 255 and 0, `bounding-rectangle` for the picture with a green rectangle.
    """

    model_config = ConfigDict(extra="forbid")

    regions: Annotated[dict[Region, LabelSet], Field(min_length=1)] | None = None
    output: Literal["binary", "bounding-rectangle"] = "binary"


class BodyParts(StandInModel):
    """A body parser without weights."""

    name = "schp"
    Parameters = Parameters
    inputs = ("image",)

    def describe(self) -> dict[str, Any]:
        """Say that it is a stand-in, and whose labels it has."""
        return {**super().describe(), "data_set": "atr"}

    def answer(self, request: Request) -> Outputs | ModelError:
        """Parse a picture."""
        regions: dict[str, list[int]] = REGIONS | (request.parameters.regions or {})
        foreign = sorted({label for labels in regions.values() for label in labels} - set(range(1, LABELS)))
        if foreign:
            return ModelError("LabelsRefused", f"The labels are refused: ATR has no {foreign}.")
        pixels = picture(request.inputs["image"])
        labels = parse(pixels)
        masks = {name: np.isin(labels, wanted) for name, wanted in regions.items()}
        boxes = {name: _box(mask) for name, mask in masks.items()}
        if request.parameters.output == "binary":
            files = {name: png(mask.astype(np.uint8) * 255) for name, mask in masks.items()}
        else:
            files = {name: png(_covered(pixels, boxes[name])) for name in masks}
        files["seg_map"] = png(labels)
        found = {name: {"pixels": int(mask.sum()), "box": boxes[name]} for name, mask in masks.items()}
        return Outputs(files, {"regions": found, "width": labels.shape[1], "height": labels.shape[0]})


def parse(pixels: Pixels) -> Labels:
    """Label every pixel.

    Shapes:
        pixels (H, W, 3) uint8 BGR; the answer (H, W) uint8, ATR's labels.
    """
    height, width = pixels.shape[:2]
    faces = find_faces(pixels)
    face = faces[0] if faces else _centred_face(width, height)
    scale = min(1.0, OUTLINE_PX / max(width, height))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small_face = FaceBox(*(side * scale for side in (face.left, face.top, face.right, face.bottom)))
    body = _Body(np.asarray(small, np.uint8), small_face)
    return _enlarged(body.labels(body.outline()), width, height)


class _Body:
    """A body below a face, on a small picture.

    Args:
        pixels: (h, w, 3) uint8 BGR.
        face: in the same pixels.
    """

    def __init__(self, pixels: Pixels, face: FaceBox) -> None:
        self._pixels = pixels
        rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
        self._tall, self._wide = face.bottom - face.top, face.right - face.left
        #: Faces below the chin, and faces beside the face's middle, of each pixel.
        self._below = (rows - face.bottom) / self._tall
        self._beside = (columns - (face.left + face.right) / 2) / self._wide
        centre = (face.top + face.bottom) / 2
        self._face = np.hypot(self._beside / 0.5, (rows - centre) / (self._tall / 2)) <= 1
        self._head = np.hypot(self._beside / 0.9, (rows - centre + 0.15 * self._tall) / (0.85 * self._tall))

    def outline(self) -> NDArray[np.bool_]:
        """Find the person's pixels."""
        aside, below = np.abs(self._beside), self._below
        # The shoulders slope from the neck outwards.
        slope = np.clip(0.45 + (TORSO_WIDTH / 2 - 0.45) * below / SHOULDERS, 0.45, TORSO_WIDTH / 2)
        torso = (below > -0.1) & (below < HIPS + 0.5) & (aside < slope)
        legs = (below >= HIPS) & (below < FEET) & (aside < LEGS_WIDTH / 2)
        core = (below > SHOULDERS) & (below < HIPS - 0.4) & (aside < CORE_WIDTH / 2)
        neck = (below > -0.2) & (below <= SHOULDERS) & (aside < 0.3)
        reach = (aside < REACH_WIDTH / 2) & (below > -0.05) & (below < FEET + 0.6)
        seeds = np.full(self._pixels.shape[:2], cv2.GC_BGD, np.uint8)
        seeds[reach] = cv2.GC_PR_BGD
        seeds[torso | legs | (self._head <= 1)] = cv2.GC_PR_FGD
        sure = core | neck | self._face | (self._head <= 0.75)
        seeds[sure] = cv2.GC_FGD
        shaped = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))
        if shaped.all() or not shaped.any():
            # A close-up leaves GrabCut nothing to learn the background from.
            return shaped
        # GrabCut draws from a generator of the thread's own: the same picture shall have the same masks.
        cv2.setRNGSeed(0)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self._pixels, seeds, _NO_BOX, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
        found = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        return _one_piece(found, sure)

    def labels(self, person: NDArray[np.bool_]) -> Labels:
        """Split the person into parts."""
        below, skin = self._below, self._skin()
        labels = np.where(below < HIPS, UPPER_CLOTHES, PANTS).astype(np.uint8)
        bare = skin & (below > SHOULDERS) & ((np.abs(self._beside) > CORE_WIDTH / 2) | (below > HIPS))
        viewers_left = self._beside < 0
        # The person's left is the viewer's right.
        labels[bare & (below < HIPS + 1.2)] = LEFT_ARM
        labels[bare & (below < HIPS + 1.2) & viewers_left] = RIGHT_ARM
        labels[bare & (below >= HIPS + 1.2)] = LEFT_LEG
        labels[bare & (below >= HIPS + 1.2) & viewers_left] = RIGHT_LEG
        labels[skin & (below <= SHOULDERS) & (np.abs(self._beside) < 0.8)] = FACE
        around = (below < 0) & (self._head <= 1.2)
        labels[around] = np.where(skin & (below > -0.8), FACE, HAIR)[around]
        labels[self._face] = FACE
        labels[~person] = BACKGROUND
        return labels

    def _skin(self) -> NDArray[np.bool_]:
        """Find pixels of the colour of the face's middle, specks removed."""
        lab = cv2.cvtColor(cv2.GaussianBlur(self._pixels, (3, 3), 0), cv2.COLOR_BGR2LAB).astype(np.float32)
        middle = self._face & (np.abs(self._beside) < 0.3)
        if not middle.any():
            return np.zeros(middle.shape, np.bool_)
        tone = np.median(lab[middle], axis=0)
        near = np.hypot(lab[..., 1] - tone[1], lab[..., 2] - tone[2]) < SKIN
        alike = (near & (np.abs(lab[..., 0] - tone[0]) < 80)).astype(np.uint8)
        return cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)).astype(np.bool_)


def _centred_face(width: int, height: int) -> FaceBox:
    """Return where the face would be of a figure that stands in the middle and fills nine tenths of the height."""
    tall = min(0.09 * height, 0.24 * width)
    top = 0.5 * height - 4.6 * tall + 0.3 * tall
    return FaceBox(width / 2 - 0.4 * tall, top, width / 2 + 0.4 * tall, top + tall)


def _one_piece(found: Labels, sure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep what hangs together with what is surely the person, holes filled."""
    closed = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, pieces = cv2.connectedComponents(closed)
    kept = np.isin(pieces, np.unique(pieces[sure & (closed > 0)])) & (closed > 0)
    outlines, _ = cv2.findContours(kept.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros(found.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled.astype(np.bool_)


def _enlarged(labels: Labels, width: int, height: int) -> Labels:
    """Enlarge label by label, so that the borders are smooth; a pixel gets the label that is strongest there."""
    best = np.zeros((height, width), np.uint8)
    strongest = np.zeros((height, width), np.uint8)
    for label in np.unique(labels):
        soft = cv2.resize((labels == label).astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
        stronger = soft > strongest
        best[stronger] = label
        np.maximum(strongest, soft, out=strongest)
    return best


def _box(region: NDArray[np.bool_]) -> dict[str, int] | None:
    """Return the tight box around a region, None if it is empty; right and bottom are the first pixels outside."""
    left, top, width, height = cv2.boundingRect(region.astype(np.uint8))
    return {"left": left, "top": top, "right": left + width, "bottom": top + height} if width else None


def _covered(pixels: Pixels, box: dict[str, int] | None) -> Pixels:
    """Paint a green rectangle; without one, the picture stays as it is."""
    painted = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    if box is not None:
        painted[box["top"] : box["bottom"], box["left"] : box["right"]] = GREEN
    return painted
