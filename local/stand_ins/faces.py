"""What the stand-ins do with pictures: find faces, and put one face where a black ellipse is. Classical, and marked."""

import io
import re
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

Pixels = NDArray[np.uint8]

#: Detection runs on a copy of at most this size, pixels.
DETECTION_SIDE_PX = 640

#: A Haar cascade's square goes from the brows to the lower lip; the face from forehead to chin and cheek to cheek,
#: relative to that square: left, top, right, bottom.
_FACE_IN_SQUARE = (0.13, 0.12, 0.87, 1.06)

#: What every result says about itself.
ENGINE = "engine: stand-in"
MADE_BY = f"Backlot local mode, {ENGINE}"

#: Longest prompt that is written into a file, characters; a JPEG's note holds 64 KB.
MAX_NOTE_CHARS = 8000

#: Grey values up to this count as the black of a mask: JPEG lifts pure black a little.
_BLACK = 12


@dataclass(frozen=True)
class FaceBox:
    """A face, from forehead to chin and from cheek to cheek, pixels."""

    left: float
    top: float
    right: float
    bottom: float


def read(data: bytes) -> Pixels:
    """Decode a file.

    Shapes:
        (H, W, 3) uint8 BGR.

    Raises:
        ValueError: it is not an image.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("not an image")
    return np.asarray(pixels, np.uint8)


def find_faces(pixels: Pixels) -> list[FaceBox]:
    """Find faces that look into the camera, the largest first.

    Shapes:
        pixels (H, W, 3) uint8 BGR.
    """
    scale = min(1.0, DETECTION_SIDE_PX / max(pixels.shape[:2]))
    grey = cv2.cvtColor(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    with _DETECTOR_IS_FREE:
        squares = _detector().detectMultiScale(
            cv2.equalizeHist(grey), scaleFactor=1.1, minNeighbors=5, minSize=(24, 24)
        )
    boxes = [_face(*(float(value) / scale for value in square)) for square in squares]
    return sorted(boxes, key=lambda box: (box.left - box.right) * (box.bottom - box.top))


def meant(words: str, boxes: list[FaceBox], width: int) -> list[FaceBox]:
    """Choose the faces that a text means, as far as it says where they are, the best match first.

    A side means the half of the picture, the middle its middle third, a size the one face.

    Args:
        words: in which `left`, `right`, `middle`, `largest` or `smallest` may occur.
        boxes: the largest first.
        width: of the picture, pixels.
    """
    said = set(re.findall(r"[a-z]+", words.lower()))

    def place(box: FaceBox) -> float:
        return (box.left + box.right) / 2 / width

    if said & {"left", "leftmost"}:
        return sorted((box for box in boxes if place(box) < 1 / 2), key=place)
    if said & {"right", "rightmost"}:
        return sorted((box for box in boxes if place(box) > 1 / 2), key=place, reverse=True)
    if said & {"middle", "centre", "center"}:
        return sorted(
            (box for box in boxes if abs(place(box) - 1 / 2) < 1 / 6), key=lambda box: abs(place(box) - 1 / 2)
        )
    if said & {"largest", "biggest", "smallest"}:
        return boxes[-1:] if "smallest" in said else boxes[:1]
    return boxes


def swap(masked: Pixels, identity: Pixels) -> Pixels:
    """Put the largest face of one picture where the other has a black ellipse.

    Without an ellipse or without a face the first picture is returned as it is.

    Shapes:
        masked (H, W, 3), identity (h, w, 3), result (H, W, 3), all uint8 BGR.
    """
    hole = black_ellipse(masked)
    faces = find_faces(identity)
    if hole is None or not faces:
        return masked
    left, top, width, height = hole
    face = faces[0]
    # A little inside the face's box, so that neither hat nor background comes along.
    inset_x, inset_y = 0.05 * (face.right - face.left), 0.06 * (face.bottom - face.top)
    source = np.array(
        [
            [face.left + inset_x, face.top + inset_y],
            [face.right - inset_x, face.top + inset_y],
            [face.left + inset_x, face.bottom - inset_y / 2],
        ],
        np.float32,
    )
    target = np.array([[left, top], [left + width, top], [left, top + height]], np.float32)
    matrix = cv2.getAffineTransform(source, target)
    size = (masked.shape[1], masked.shape[0])
    warped = cv2.warpAffine(identity, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    return _blend(masked, np.asarray(warped, np.uint8), (left, top, width, height))


def encode(pixels: Pixels, width: int, height: int, *, prompt: str, output_format: str = "jpeg") -> bytes:
    """Scale to the size that was asked for and encode as a file that says what made it, and for which prompt."""
    scaled = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LANCZOS4)
    image = Image.fromarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB))
    buffer = io.BytesIO()
    if output_format == "png":
        notes = PngInfo()
        for name, text in (("Software", MADE_BY), ("Comment", ENGINE), ("Description", prompt[:MAX_NOTE_CHARS])):
            notes.add_itxt(name, text)
        image.save(buffer, "PNG", compress_level=1, pnginfo=notes)
        return buffer.getvalue()
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = MADE_BY
    exif[ExifTags.Base.ImageDescription] = prompt[:MAX_NOTE_CHARS]
    image.save(buffer, "JPEG", quality=95, subsampling=0, exif=exif, comment=ENGINE.encode())
    return buffer.getvalue()


#: A cascade keeps its buffers in itself, and two threads in one crash the process.
_DETECTOR_IS_FREE = threading.Lock()


@cache
def _detector() -> cv2.CascadeClassifier:
    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))


def _face(x: float, y: float, width: float, height: float) -> FaceBox:
    left, top, right, bottom = _FACE_IN_SQUARE
    return FaceBox(x + left * width, y + top * height, x + right * width, y + bottom * height)


def black_ellipse(pixels: Pixels) -> tuple[int, int, int, int] | None:
    """Return left, top, width and height of the largest black blob that fills its box as an ellipse does."""
    black = (pixels.max(axis=2) <= _BLACK).astype(np.uint8)
    black = cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(black)
    best = None
    for index in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[index])
        share = area / (width * height)
        # An ellipse fills π/4 of its box; hair or a wall fills more or less.
        if abs(share - np.pi / 4) < 0.06 and min(width, height) >= 12 and (best is None or area > best[0]):
            best = (area, (left, top, width, height))
    return best[1] if best else None


def _blend(masked: Pixels, warped: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """Lay the warped face over the hole: colours brought near to the skin around it, the edge feathered outwards."""
    left, top, width, height = box
    centre = (left + width / 2, top + height / 2)
    feather = max(2.0, 0.04 * min(width, height))
    rows, columns = np.mgrid[0 : masked.shape[0], 0 : masked.shape[1]]
    radius = np.hypot((columns - centre[0]) / (width / 2), (rows - centre[1]) / (height / 2))
    distance = (radius - 1) * min(width, height) / 2
    alpha = np.clip(1 - (distance - 1.5) / feather, 0, 1)[..., None]
    ring = (distance > 2) & (distance < 2 + 2.5 * feather)
    inside = (radius < 0.95) & (radius > 0.6)
    coloured = _recolour(warped, inside, masked, ring)
    return np.asarray(np.rint(alpha * coloured + (1 - alpha) * masked), np.uint8)


def _recolour(
    source: Pixels, inside: NDArray[np.bool_], target: Pixels, ring: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Shift the source's colours most of the way towards the middle colours of the target's ring (Lab)."""
    lab = cv2.cvtColor(source, cv2.COLOR_BGR2LAB).astype(np.float32)
    around = cv2.cvtColor(target, cv2.COLOR_BGR2LAB).astype(np.float32)
    skin = around[ring]
    bright = skin[skin[:, 0] > np.percentile(skin[:, 0], 60)] if len(skin) else skin
    if len(bright):
        lab += 0.7 * (np.median(bright, axis=0) - np.median(lab[inside], axis=0))
    clipped = np.clip(lab, 0, 255).astype(np.uint8)
    return cv2.cvtColor(clipped, cv2.COLOR_LAB2BGR).astype(np.float32)
