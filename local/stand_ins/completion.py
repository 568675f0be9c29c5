"""Holes filled with pieces of what is around them, coarse to fine: what is lost is voted by the patches that fit best.

Source: Wexler, Shechtman and Irani, Space-Time Completion of Video, 2007; here for one picture, on small copies, since
it has to be quick and shall not pass for a model's work.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from local.stand_ins.faces import Pixels

#: Longest sides of the copies, pixels, and how often each is voted over.
LEVELS = ((24, 5), (44, 2), (80, 2))

#: Side of a patch, pixels, and how many patches are compared with at most.
PATCH_PX, MOST_PATCHES = 7, 3000

#: How far a patch may come from, as grey levels over the copy's whole side; how much less a patch's vote counts one
#: pixel deeper in the hole.
NEARNESS, DEPTH = 38.0, 1.25

#: How far around a hole patches come from, and how far beside a mask the traces of what was there go, by its size.
AROUND, TRACES = 0.8, 0.05

#: A difference at the hole's rim above this is an edge, and no difference of light, grey levels.
EDGE = 40

_Box = tuple[slice, slice]


class _Patches(NamedTuple):
    """Patches with the places of their first pixels: (n,), (n,), (n, PATCH_PX² · 3)."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.float32]


def fill(picture: Pixels, mask: Pixels) -> Pixels:
    """Take out what lies under a mask, one hole after the other.

    Shapes:
        picture and result (H, W, 3), mask (H, W), all uint8.
    """
    count, pieces = cv2.connectedComponents(_grown(mask))
    filled = picture.copy()
    for number in range(1, count):
        hole = np.where(pieces == number, 255, 0).astype(np.uint8)
        box = _around(hole)
        filled[box] = _laid_in(filled[box], _completed(filled[box], hole[box]), hole[box])
    return filled


def _completed(picture: Pixels, hole: Pixels) -> Pixels:
    made = picture
    for level, (side, votes) in enumerate(LEVELS):
        scale = min(1.0, side / max(picture.shape[:2]))
        size = (max(PATCH_PX + 5, round(picture.shape[1] * scale)), max(PATCH_PX + 5, round(picture.shape[0] * scale)))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        touched = (cv2.resize(hole, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
        lost = np.asarray(cv2.dilate(touched, np.ones((3, 3), np.uint8)), np.uint8)
        if level == 0:
            small = np.asarray(cv2.inpaint(small, lost, 3, cv2.INPAINT_TELEA), np.uint8)
        else:
            small[lost > 0] = cv2.resize(made, size, interpolation=cv2.INTER_CUBIC)[lost > 0]
        for _ in range(votes):
            small = _voted(small, lost)
        made = small
    return np.asarray(cv2.resize(made, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _voted(picture: Pixels, lost: Pixels) -> Pixels:
    """Let the most alike whole patches vote on what is lost."""
    margin = PATCH_PX // 2
    rows, columns = picture.shape[0] - 2 * margin, picture.shape[1] - 2 * margin
    windows = sliding_window_view(picture, (PATCH_PX, PATCH_PX), axis=(0, 1)).reshape(rows, columns, -1)
    touched = cv2.dilate(lost, np.ones((PATCH_PX, PATCH_PX), np.uint8))[margin:-margin, margin:-margin] > 0
    torn, whole = _patches(windows, touched), _patches(windows, ~touched)
    if not whole.rows.size:
        return picture
    best, cost = _most_alike(torn, whole, NEARNESS * PATCH_PX / max(rows, columns))
    depth = cv2.distanceTransform(lost, cv2.DIST_L2, 3)[margin:-margin, margin:-margin][torn.rows, torn.columns]
    weight = np.exp(-cost / (2 * np.median(cost) + 1)) * DEPTH**-depth
    votes = np.zeros((rows, columns, 3, PATCH_PX, PATCH_PX), np.float32)
    voices = np.zeros((rows, columns), np.float32)
    votes[torn.rows, torn.columns] = whole.values[best].reshape(-1, 3, PATCH_PX, PATCH_PX) * weight[:, None, None, None]
    voices[torn.rows, torn.columns] = weight
    total, heard = np.zeros(picture.shape, np.float32), np.zeros(lost.shape, np.float32)
    for down in range(PATCH_PX):
        for right in range(PATCH_PX):
            total[down : down + rows, right : right + columns] += votes[:, :, :, down, right]
            heard[down : down + rows, right : right + columns] += voices
    result, told = picture.copy(), (lost > 0) & (heard > 0)
    result[told] = np.clip(total[told] / heard[told][:, None] + 0.5, 0, 255)
    return result


def _patches(windows: Pixels, taken: NDArray[np.bool_]) -> _Patches:
    rows, columns = np.nonzero(taken)
    if len(rows) > MOST_PATCHES:
        chosen = np.random.default_rng(0).choice(len(rows), MOST_PATCHES, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    return _Patches(rows, columns, windows[rows, columns].astype(np.float32))


def _most_alike(torn: _Patches, whole: _Patches, nearness: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return for each torn patch the place of the whole one that is most alike, and how far it is from alike."""
    wanted, offered = (
        np.hstack([each.values, nearness * np.stack([each.rows, each.columns], 1)]).astype(np.float32)
        for each in (torn, whole)
    )
    # |a - b|² = |a|² - 2a·b + |b|².
    distance = (offered**2).sum(axis=1) - 2 * wanted @ offered.T
    best = distance.argmin(axis=1)
    cost = distance[np.arange(len(best)), best] + (wanted**2).sum(axis=1)
    return best, np.maximum(cost, 0)


def _laid_in(picture: Pixels, made: Pixels, hole: Pixels) -> Pixels:
    """Lay what was made into a hole, in the light of its rim, with a soft edge."""
    difference = picture.astype(np.float32) - made
    near = cv2.dilate(hole, np.ones((9, 9), np.uint8)) > 0
    rim = (near & (hole == 0) & (np.abs(difference).max(axis=2) < EDGE)).astype(np.float32)
    reach = max(4.0, 0.25 * _size_of(hole))
    told = cv2.GaussianBlur(difference * rim[:, :, None], (0, 0), reach)
    heard = cv2.GaussianBlur(rim, (0, 0), reach)[:, :, None] + 1e-4
    alpha = cv2.GaussianBlur(hole, (0, 0), max(1.0, 0.02 * _size_of(hole))).astype(np.float32)[:, :, None] / 255
    return np.asarray(np.clip(picture * (1 - alpha) + (made + told / heard) * alpha + 0.5, 0, 255), np.uint8)


def _grown(mask: Pixels) -> Pixels:
    inside = np.where(mask >= 128, 255, 0).astype(np.uint8)
    side = 2 * max(2, round(TRACES * _size_of(inside))) + 1
    return np.asarray(cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)


def _around(hole: Pixels) -> _Box:
    left, top, width, height = cv2.boundingRect(hole)
    around = round(AROUND * max(width, height)) + PATCH_PX
    return slice(max(0, top - around), top + height + around), slice(max(0, left - around), left + width + around)


def _size_of(mask: Pixels) -> float:
    return float(np.sqrt(max(1, cv2.countNonZero(mask))))
