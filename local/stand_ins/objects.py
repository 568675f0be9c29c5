"""What a click, a box or nothing at all means in a picture: GrabCut, colours, and the person whom a face tells of."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backlot.images.codecs import Picture, flatten
from local.stand_ins import body_parts
from local.stand_ins.faces import Pixels, find_faces
from sagemaker_models.segment.errors import mask_empty
from sagemaker_models.segment.prompts import Prompt

Mask = NDArray[np.bool_]

#: GrabCut runs on a copy of this size, pixels; its cost grows faster than the area.
SEEN_PX = 256
ITERATIONS = 2

#: How far a click is sure, and how far its colour is followed, as shares of the longer side.
SURE, NEAR = 0.012, 0.45

#: Largest step of colour (Lab) over which a click's region goes on, and its largest distance from the click's colour.
STEP, DISTANCE = 9.0, 32.0

#: A region of more than this share of the picture is its background.
MOST = 0.97

#: A picture's rim shows its background, as a share of the longer side.
RIM = 0.03

#: GrabCut wants a box even where a mask says more.
_NO_BOX = (0, 0, 1, 1)


@dataclass(frozen=True)
class Seen:
    """What is kept of a picture.

    Args:
        width: upright, pixels.
        height: upright, pixels.
        small: a copy, BGR.
        lab: its colours.
        person: where the person is, None without one.
    """

    width: int
    height: int
    small: Pixels
    lab: NDArray[np.float32]
    person: Mask | None

    @property
    def scale(self) -> float:
        """Pixels of the copy for one of the picture."""
        return float(self.small.shape[1] / self.width)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self.small.nbytes + self.lab.nbytes + (0 if self.person is None else self.person.nbytes)


def look(picture: Picture) -> Seen:
    """See what clicks need of a picture."""
    pixels = np.asarray(flatten(picture.pixels).convert("RGB"), np.uint8)[:, :, ::-1].copy()
    height, width = pixels.shape[:2]
    scale = min(1.0, SEEN_PX / max(width, height))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    lab = cv2.cvtColor(cv2.bilateralFilter(small, 5, 25, 5), cv2.COLOR_BGR2LAB).astype(np.float32)
    person = None
    if find_faces(pixels):
        labels = cv2.resize(body_parts.parse(pixels), size, interpolation=cv2.INTER_NEAREST)
        person = labels != body_parts.BACKGROUND
    return Seen(width, height, small, lab, person)


def find(seen: Seen, prompt: Prompt) -> Mask:
    """Find what a prompt means.

    Shapes:
        (h, w) of the small copy.

    Raises:
        Refused: nothing stands out there.
    """
    places = [(_place(seen, *point), label) for point, label in zip(prompt.points, prompt.labels, strict=True)]
    meant, beside = [place for place, label in places if label], [place for place, label in places if not label]
    seeds = np.full(seen.small.shape[:2], cv2.GC_PR_BGD, np.uint8)
    if prompt.box is not None:
        _seed_box(seeds, seen, prompt.box)
    for place in meant:
        _seed_click(seeds, seen, place, inside=prompt.box is not None)
    for place in beside:
        cv2.circle(seeds, place, _sure_px(seen), cv2.GC_BGD, cv2.FILLED)
    found = _kept_pieces(_parted(_cut(seen.small, seeds), meant, beside, _sure_px(seen)), meant, beside)
    if not found.any() or found.mean() > MOST:
        raise mask_empty("nothing stands out where the request points")
    return found


def _seed_click(seeds: Pixels, seen: Seen, place: tuple[int, int], *, inside: bool) -> None:
    """Let a click mean the person whom it hits, or else what has its colour around it."""
    x, y = place
    if seen.person is not None and seen.person[y, x]:
        region = seen.person
    else:
        region = _alike(seen, place)
        if seen.person is not None:
            seeds[_core(seen.person) & (seeds == cv2.GC_PR_BGD)] = cv2.GC_BGD
    if not inside:
        rim = np.hypot(*np.ogrid[-y : seeds.shape[0] - y, -x : seeds.shape[1] - x]) > NEAR * max(seeds.shape)
        seeds[rim & ~region & (seeds == cv2.GC_PR_BGD)] = cv2.GC_BGD
    seeds[region & (seeds != cv2.GC_BGD)] = cv2.GC_PR_FGD
    cv2.circle(seeds, place, _sure_px(seen), cv2.GC_FGD, cv2.FILLED)


def _seed_box(seeds: Pixels, seen: Seen, box: tuple[float, float, float, float]) -> None:
    """Let a box mean the person in it, or else what is in its middle."""
    height, width = seeds.shape
    left, top = (int(side * seen.scale) for side in box[:2])
    right, bottom = (int(np.ceil(side * seen.scale)) for side in box[2:])
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    within = np.zeros(seeds.shape, np.bool_)
    within[top:bottom, left:right] = True
    seeds[:] = np.where(within, cv2.GC_PR_FGD, cv2.GC_BGD)
    rows, columns = np.mgrid[0:height, 0:width]
    across = (columns + 0.5 - (left + right) / 2) / ((right - left) / 2)
    down = (rows + 0.5 - (top + bottom) / 2) / ((bottom - top) / 2)
    core = np.hypot(across, down) < 0.35
    if seen.person is not None and (seen.person & within).sum() > 0.25 * within.sum():
        core, reach = _core(seen.person), 4 * _rim_px(seeds)
        seeds[within & ~seen.person] = cv2.GC_PR_BGD
        seeds[cv2.dilate(seen.person.astype(np.uint8), np.ones((reach, reach), np.uint8)) == 0] = cv2.GC_BGD
    seeds[within & core] = cv2.GC_FGD


def _alike(seen: Seen, place: tuple[int, int]) -> Mask:
    """Return what hangs together with a place and has nearly its colour."""
    distance = np.linalg.norm(seen.lab - np.median(_around(seen.lab, place), axis=0), axis=2)
    filled = np.zeros((seen.small.shape[0] + 2, seen.small.shape[1] + 2), np.uint8)
    smooth = seen.lab.copy()
    step = (STEP,) * 3
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    cv2.floodFill(smooth, filled, place, 0, step, step, flags)
    return np.asarray((filled[1:-1, 1:-1] > 0) & (distance < DISTANCE), np.bool_)


def _around(lab: NDArray[np.float32], place: tuple[int, int]) -> NDArray[np.float32]:
    x, y = place
    return lab[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].reshape(-1, 3)


def _cut(small: Pixels, seeds: Pixels) -> Mask:
    sure = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if sure.all() or not sure.any():
        # Nothing to learn one of the two from.
        return sure
    # GrabCut draws from a generator of the thread's own: the same click shall have the same mask.
    cv2.setRNGSeed(0)
    cv2.grabCut(small, seeds, _NO_BOX, np.zeros((1, 65)), np.zeros((1, 65)), ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _parted(found: Mask, meant: list[tuple[int, int]], beside: list[tuple[int, int]], sure_px: int) -> Mask:
    """Part what was found if it surrounds a place beside what is meant: each pixel goes to the nearer place."""
    rows, columns = np.mgrid[0 : found.shape[0], 0 : found.shape[1]]

    def apart(places: list[tuple[int, int]]) -> NDArray[np.float64]:
        distances = [np.hypot(columns - x, rows - y) for x, y in places]
        return np.asarray(np.min(distances, axis=0), np.float64)

    for place in beside:
        near = apart([place]) <= 3 * sure_px
        if meant and found[near].mean() > 0.5:
            found = found & (apart(meant) < apart([place]))
    return found


def _kept_pieces(found: Mask, meant: list[tuple[int, int]], beside: list[tuple[int, int]]) -> Mask:
    """Keep the pieces that were clicked, or the larger ones without a click; close their gaps."""
    closed = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
    hit = {int(pieces[y, x]) for x, y in meant} - {0}
    if not hit and count > 1:
        largest = stats[1:, cv2.CC_STAT_AREA].max()
        hit = {piece for piece in range(1, count) if stats[piece, cv2.CC_STAT_AREA] > 0.1 * largest}
    hit -= {int(pieces[y, x]) for x, y in beside}
    return _filled(np.isin(pieces, list(hit)) if hit else np.zeros(found.shape, np.bool_), beside)


def _filled(region: Mask, beside: list[tuple[int, int]]) -> Mask:
    """Fill small holes, but none that was said to lie beside."""
    count, holes, stats, _ = cv2.connectedComponentsWithStats((~region).astype(np.uint8), connectivity=4)
    kept = {int(holes[y, x]) for x, y in beside}
    limit = 0.01 * region.size
    small = [hole for hole in range(1, count) if stats[hole, cv2.CC_STAT_AREA] < limit and hole not in kept]
    return region | np.isin(holes, small)


def subject(seen: Seen) -> Mask:
    """Find what a picture is about: the person, or what differs from its rim.

    Raises:
        Refused: nothing does.
    """
    height, width = seen.small.shape[:2]
    rim_px = _rim_px(seen.small)
    rim = np.ones((height, width), np.bool_)
    # What stands on the lower edge is rather the subject.
    rim[rim_px:, rim_px : width - rim_px] = False
    if seen.person is not None:
        seeds = np.where(seen.person, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        seeds[_core(seen.person)] = cv2.GC_FGD
        seeds[rim & ~seen.person] = cv2.GC_BGD
    else:
        centres = _colours(seen.lab[rim])
        foreign = np.linalg.norm(seen.lab[:, :, None] - centres, axis=3).min(axis=2)
        seeds = np.where(foreign > max(DISTANCE / 2, float(foreign.mean())), cv2.GC_PR_FGD, cv2.GC_PR_BGD)
        seeds = seeds.astype(np.uint8)
        seeds[rim] = cv2.GC_BGD
    found = _kept_pieces(_cut(seen.small, seeds), [], [])
    if not found.any() or found.mean() > MOST:
        raise mask_empty("the picture has no subject that stands out from its background")
    return found


def _core(person: Mask) -> Mask:
    """Return what is surely the person."""
    side = 2 * _rim_px(person) + 1
    return np.asarray(cv2.erode(person.astype(np.uint8), np.ones((side, side), np.uint8)) > 0, np.bool_)


def _rim_px(pixels: NDArray[Any]) -> int:
    return max(round(RIM * float(max(pixels.shape[:2]))), 1)


def _colours(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the four colours that stand for many.

    Shapes:
        lab (n, 3); the answer (4, 3).
    """
    cv2.setRNGSeed(0)
    places, ends = np.zeros((len(lab), 1), np.int32), (cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    return np.asarray(cv2.kmeans(lab, 4, places, ends, 1, cv2.KMEANS_PP_CENTERS)[2], np.float32)


def alpha(found: Mask, seen: Seen, grey: Pixels, *, fine: bool) -> Pixels:
    """Return the subject's opacity at the picture's size; a fine one follows the picture's edges.

    Source: He, Sun, Tang: Guided image filtering, 2010, equations 5, 6 and 8.
    """
    size = (seen.width, seen.height)
    soft = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    if fine:
        guide, box = grey.astype(np.float32) / 255, (max(round(0.012 * max(size)), 2) * 2 + 1,) * 2
        mean_guide, mean_soft = cv2.blur(guide, box), cv2.blur(soft, box)
        slope = (cv2.blur(guide * soft, box) - mean_guide * mean_soft) / (
            cv2.blur(guide * guide, box) - mean_guide**2 + 1e-3
        )
        soft = cv2.blur(slope, box) * guide + cv2.blur(mean_soft - slope * mean_guide, box)
    return np.asarray(np.clip(np.rint((soft - 0.1) / 0.8 * 255), 0, 255), np.uint8)


def _place(seen: Seen, x: float, y: float) -> tuple[int, int]:
    height, width = seen.small.shape[:2]
    return min(int(x * seen.scale), width - 1), min(int(y * seen.scale), height - 1)


def _sure_px(seen: Seen) -> int:
    return max(round(SURE * float(max(seen.small.shape[:2]))), 1)


def enlarged(found: Mask, width: int, height: int) -> Pixels:
    """Return a mask of the picture's size, 255 where something was found."""
    soft = cv2.resize(found.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(np.asarray(soft) > 127, np.uint8(255), np.uint8(0))


def contrast(seen: Seen, found: Mask) -> float:
    """Return how much the colours inside and outside differ, 0 to 1: the distance of means by itself and the spread."""
    inside, outside = seen.lab[found], seen.lab[~found]
    apart = float(np.linalg.norm(inside.mean(0) - outside.mean(0)))
    spread = float(np.linalg.norm(inside.std(0) + outside.std(0))) / 2
    return round(apart / (apart + spread), 4) if apart else 0.0
