"""insightface's antelopev2 by onnxruntime: SCRFD finds faces, ArcFace (glintr100) says whose they are.

**The models are for non-commercial research only** (insightface, `model_zoo/README.md`), however they were obtained.
Another embedder can take ArcFace's place by the protocols of `faces.py`, with a PuLID checkpoint that was trained with
it.

Source: deepinsight/insightface, `python-package/insightface` (MIT); SCRFD (arXiv 2105.04714), ArcFace
(arXiv 1801.07698); read 2026-11-21; written anew.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sagemaker_models.flux.faces import Face, Pixels
from sagemaker_models.flux.tensors import brief
from sagemaker_models.serving.model import WeightsInvalid

FOLDER, DETECTOR, EMBEDDER = "antelopev2", "scrfd_10g_bnkps.onnx", "glintr100.onnx"

#: Length of what describes a face.
LENGTH = 512

#: Sides at which faces are looked for, one after the other, pixels. The detector misses faces that fill the picture at
#: the first (insightface, issue 1518), and the library looks at the second too.
SIDES_PX = (640, 128)

#: A box is taken from this score on, and left out if it shares more than this with a better one.
LEAST_SCORE, MOST_SHARED = 0.5, 0.4

#: The detector's maps: pixels to a cell, and boxes in each cell.
STRIDES, BOXES = (8, 16, 32), 2

#: Where ArcFace has the five points in 112x112.
_TEMPLATE = np.array(
    ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
)
_EMBEDDED_PX = 112


class Scrfd:
    """The detector.

    Args:
        path: of the ONNX file with 9 outputs: for each stride scores, then for each boxes, then for each points.

    Raises:
        WeightsInvalid: the file cannot be read, or is another network.
    """

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        self._input = self._session.get_inputs()[0]
        outputs = len(self._session.get_outputs())
        if outputs != 3 * len(STRIDES):
            raise WeightsInvalid(f"{path.name} has {outputs} outputs, expected 9; it is no SCRFD with points")
        side = self._input.shape[2]
        self._sides_px = (side,) if isinstance(side, int) else SIDES_PX

    def find(self, rgb: Pixels) -> list[Face]:
        """Find faces, the surest first.

        Shapes: rgb (H,W,3)
        """
        for side_px in self._sides_px:
            found = self._find(rgb, side_px)
            if found:
                return found
        return []

    def _find(self, rgb: Pixels, side_px: int) -> list[Face]:
        height, width = rgb.shape[:2]
        tall = height / width
        small = (int(side_px / tall), side_px) if tall > 1 else (side_px, int(side_px * tall))
        square = np.zeros((side_px, side_px, 3), np.uint8)
        square[: small[1], : small[0]] = cv2.resize(rgb, small)
        pixels = (square.astype(np.float32) - 127.5) / 128
        made = self._session.run(None, {self._input.name: pixels.transpose(2, 0, 1)[None]})
        return suppress(decode(made, side_px, small[1] / height))


def decode(outputs: list[NDArray[np.float32]], side_px: int, factor: float) -> list[Face]:
    """Turn the detector's maps into faces.

    A cell's values are distances from its upper left corner, in cells: left, top, right and bottom of the box; x and y
    of each point.

    Args:
        outputs: scores (n,1), boxes (n,4) and points (n,10), each for all strides; maybe with a first dimension of 1.
        side_px: of the square that was looked at.
        factor: by which the picture was made smaller.
    """
    faces = []
    for number, stride in enumerate(STRIDES):
        parts = [outputs[number + kind * len(STRIDES)] for kind in range(3)]
        scores, boxes, points = (part.reshape(-1, part.shape[-1]).astype(np.float64) for part in parts)
        cells = side_px // stride
        rows, columns = np.divmod(np.arange(cells * cells).repeat(BOXES), cells)
        corners = np.stack((columns, rows), axis=1) * stride
        for place in np.flatnonzero(scores[:, 0] >= LEAST_SCORE):
            corner, box = corners[place], boxes[place] * stride
            edges = np.concatenate((corner - box[:2], corner + box[2:])) / factor
            five = (corner + points[place].reshape(5, 2) * stride) / factor
            left, top, right, bottom = (float(edge) for edge in edges)
            faces.append(Face((left, top, right, bottom), five, float(scores[place, 0])))
    return faces


def suppress(faces: list[Face]) -> list[Face]:
    """Leave the surest of boxes that lie over each other; pixels are counted with both edges."""
    left = sorted(faces, key=lambda face: -face.score)
    boxes = np.array([face.box for face in left]).reshape(-1, 4)
    places, kept = np.arange(len(left)), []
    while len(places):
        first, others = places[0], places[1:]
        kept.append(left[first])
        places = others[_shared(boxes[first], boxes[others]) <= MOST_SHARED]
    return kept


class ArcFace:
    """The embedder.

    Args:
        path: of the ONNX file.

    Raises:
        WeightsInvalid: the file cannot be read, or is another network.
    """

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        self._input = self._session.get_inputs()[0]
        taken = list(self._input.shape[1:])
        if taken != [3, _EMBEDDED_PX, _EMBEDDED_PX]:
            raise WeightsInvalid(f"{path.name} takes {taken}, expected [3, 112, 112]; it is no ArcFace")
        made = self._describe(np.zeros((_EMBEDDED_PX, _EMBEDDED_PX, 3), np.uint8)).shape
        if made != (LENGTH,):
            raise WeightsInvalid(f"{path.name} makes {made}, expected ({LENGTH},); it is no ArcFace that PuLID knows")

    def embed(self, rgb: Pixels, face: Face) -> NDArray[np.float32]:
        """Describe whose face it is; the length of the vector is left as it comes.

        Shapes: rgb (H,W,3) → (512)
        """
        matrix = similarity(face.points, _TEMPLATE)
        return self._describe(np.asarray(cv2.warpAffine(rgb, matrix, (_EMBEDDED_PX, _EMBEDDED_PX)), np.uint8))

    def _describe(self, aligned: Pixels) -> NDArray[np.float32]:
        pixels = (aligned.astype(np.float32) - 127.5) / 127.5
        made = self._session.run(None, {self._input.name: pixels.transpose(2, 0, 1)[None]})[0]
        return np.asarray(made[0], np.float32)


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the turn, scale and shift that bring points nearest to others, by least squares.

    Of complex numbers z → a·z + b: a = Σ conj(z - z̄)(w - w̄) / Σ |z - z̄|².

    Shapes: source and target (n,2) → (2,3)
    """
    z, w = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    spread = np.sum(np.abs(z - z.mean()) ** 2)
    a = np.sum(np.conj(z - z.mean()) * (w - w.mean())) / max(spread, np.finfo(float).tiny)
    b = w.mean() - a * z.mean()
    return np.array(((a.real, -a.imag, b.real), (a.imag, a.real, b.imag)))


def _shared(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much a box overlaps others, as shares of what both cover.

    Shapes: box (4), others (n,4) → (n)
    """
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]) + 1
    both = np.clip(sides, 0, None).prod(1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + 1).prod(-1) for boxes in (box, others)]
    return both / (areas[0] + areas[1] - both)


def _session(path: Path) -> Any:
    if not path.is_file():
        raise WeightsInvalid(f"{path} is missing; unpack insightface's antelopev2 so that its files lie in {FOLDER}/")
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime's own classes are not public; all of them say that the file is not a network that it can run.
        raise WeightsInvalid(f"{path.name} cannot be read as a network: {brief(error)}; fetch it again") from error
