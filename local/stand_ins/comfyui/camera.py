"""Camera moves: read from an instruction in Chinese or English, and shown by turning the picture in space."""

import math
import re
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

#: Degrees by which the picture turns for an orbit of 90 degrees, and for one of the two steps up or down.
TURN, TILT = 54.0, 21.0

#: Distance of the camera, in widths of the picture's diagonal; the smaller, the stronger the perspective.
DISTANCE = 0.95

#: What is out of focus is worked on at this part of the size.
BLUR = 6

_ZOOM_STEP, _SHIFT_STEP = 1.32, 0.16


@dataclass(frozen=True)
class Move:
    """Where the camera goes.

    Args:
        right: orbit around the subject, degrees; to the left below 0.
        up: steps up, -2 to 2.
        closer: steps forward, -1 to 1.
        aside: steps to the right without turning; to the left below 0.
    """

    right: float = 0.0
    up: int = 0
    closer: int = 0
    aside: int = 0

    @property
    def words(self) -> str:
        """Say it shortly."""
        parts = [
            f"{abs(self.right):.0f}° {'right' if self.right > 0 else 'left'}" if self.right else "",
            {-2: "from the ground", -1: "lower", 1: "higher", 2: "from above"}.get(self.up, ""),
            {-1: "wider", 1: "closer"}.get(self.closer, ""),
            {-1: "aside left", 1: "aside right"}.get(self.aside, ""),
        ]
        return ", ".join(part for part in parts if part)


_TURNS = (
    re.compile(r"向(?P<side>左|右)旋转\s*(?P<degrees>\d+)"),
    re.compile(r"rotat\w* the camera (?P<degrees>\d+) degrees to the (?P<side>left|right)", re.IGNORECASE),
)

#: The first that is found counts.
_UPS = (
    (-2, re.compile(r"low[- ]angle|from the ground|worm|仰视|仰拍", re.IGNORECASE)),
    (2, re.compile(r"top[- ]down|bird'?s?[- ]eye|俯视|鸟瞰", re.IGNORECASE)),
    (-1, re.compile(r"(camera|angle|viewpoint)[^.,]*\b(down|lower)|向下移动|低角度|略低|稍低|降低", re.IGNORECASE)),
    (
        1,
        re.compile(
            r"(camera|angle|viewpoint)[^.,]*(?<!close-)\b(up|higher)|向上移动|高角度|略高|稍高|升高", re.IGNORECASE
        ),
    ),
)
_ZOOMS = (
    (1, re.compile(r"camera forward|close-up|closer|向前移动|特写|拉近", re.IGNORECASE)),
    (-1, re.compile(r"camera back|pull\w* back|wide-angle|wider|向后|拉远|广角", re.IGNORECASE)),
)
_ASIDES = (
    (-1, re.compile(r"move the camera left|向左移动", re.IGNORECASE)),
    (1, re.compile(r"move the camera right|向右移动", re.IGNORECASE)),
)


def read(text: str) -> Move | None:
    """Return the move that a text asks for, None if it asks for none."""
    move = Move(up=_first(_UPS, text), closer=_first(_ZOOMS, text), aside=_first(_ASIDES, text))
    for form in _TURNS:
        found = form.search(text)
        if found:
            degrees = float(found["degrees"])
            move = replace(move, right=-degrees if found["side"] in ("左", "left") else degrees)
            break
    return None if move == Move() else move


def turned(picture: Picture, move: Move, jitter: float) -> Picture:
    """Show a picture as a plane in space from where the camera has gone.

    Args:
        picture: what the camera saw.
        move: where it goes.
        jitter: degrees that are added to the turn.

    Shapes:
        (H, W, 3) float32 of 0 to 1, in and out.
    """
    height, width = picture.shape[:2]
    matrix = _homography(width, height, move, jitter)
    plane = cv2.warpPerspective(picture, matrix, (width, height))
    inside = cv2.warpPerspective(_feathered(width, height), matrix, (width, height))[..., None]
    return np.asarray(plane * inside + _surroundings(picture, matrix) * (1 - inside), np.float32)


def _homography(width: int, height: int, move: Move, jitter: float) -> NDArray[np.float64]:
    # The edge towards which the camera goes comes nearer.
    yaw = math.radians(-TURN * move.right / 90 + jitter)
    pitch = math.radians(-TILT * move.up)
    distance = DISTANCE * math.hypot(width, height)
    about_y = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
    rotation = about_x @ about_y
    scale = distance * _ZOOM_STEP**move.closer
    to_plane = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    in_space = np.column_stack([rotation[:, 0], rotation[:, 1], [-move.aside * _SHIFT_STEP * width, 0, distance]])
    to_screen = np.array([[scale, 0, width / 2], [0, scale, height / 2], [0, 0, 1]])
    return np.asarray(to_screen @ in_space @ to_plane)


def _feathered(width: int, height: int) -> Picture:
    """Return 1 inside and less towards the edges, so that the plane melts into what is around it."""
    soft = max(2, min(width, height) // 24)
    columns = np.clip(np.minimum(np.arange(width), np.arange(width)[::-1]) / soft, 0, 1)
    rows = np.clip(np.minimum(np.arange(height), np.arange(height)[::-1]) / soft, 0, 1)
    return np.asarray(rows[:, None] * columns[None, :], np.float32)


def _surroundings(picture: Picture, matrix: NDArray[np.float64]) -> Picture:
    """Go on with the picture beyond its edges: mirrored, out of focus and darker."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, None, fx=1 / BLUR, fy=1 / BLUR, interpolation=cv2.INTER_AREA)
    size = (small.shape[1], small.shape[0])
    shrink = np.diag([size[0] / width, size[1] / height, 1])
    matrix = shrink @ matrix @ np.linalg.inv(shrink)
    mirrored = cv2.warpPerspective(small, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    blurred = cv2.GaussianBlur(mirrored, (0, 0), max(size) / 40)
    return np.asarray(cv2.resize(blurred, (width, height)) * 0.72, np.float32)


def _first(forms: tuple[tuple[int, re.Pattern[str]], ...], text: str) -> int:
    return next((value for value, form in forms if form.search(text)), 0)
