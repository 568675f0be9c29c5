"""The stand-ins of fal's models: what they take, and what they make of it by classical means."""

import base64
import binascii
import secrets
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from local.stand_ins import faces
from local.stand_ins.faces import Pixels

#: What the models take: field → smallest and largest value, or None for texts, pictures and switches. Read 2026-11-20.
_SHARED: dict[str, tuple[float, float] | None] = {
    "prompt": None,
    "seed": (0, 2**32 - 1),
    "sync_mode": None,
    "enable_safety_checker": None,
    "guidance_scale": (0, 20),
}
MODELS: dict[str, dict[str, tuple[float, float] | None]] = {
    "fal-ai/flux-pulid": {
        **_SHARED,
        "reference_image_url": None,
        "negative_prompt": None,
        "image_size": None,
        "num_inference_steps": (1, 50),
        "id_weight": (0, 1),
        "true_cfg": (1, 10),
        "start_step": (0, 50),
        "max_sequence_length": None,
    },
    "fal-ai/flux/dev/image-to-image": {
        **_SHARED,
        "image_url": None,
        "strength": (0.01, 1),
        "num_inference_steps": (10, 50),
        "num_images": (1, 4),
        "output_format": None,
        "acceleration": None,
    },
}
_REQUIRED = {"fal-ai/flux-pulid": "reference_image_url", "fal-ai/flux/dev/image-to-image": "image_url"}

#: Background, brightest and darkest (BGR), by a word of the prompt; the first that occurs decides.
_BACKGROUNDS: tuple[tuple[str, tuple[int, int, int], tuple[int, int, int]], ...] = (
    ("night", (120, 70, 30), (35, 18, 10)),
    ("sunset", (90, 150, 240), (40, 50, 110)),
    ("sunrise", (220, 190, 150), (130, 100, 80)),
    ("grey daylight", (190, 185, 180), (110, 108, 105)),
    ("daylight", (215, 210, 200), (120, 125, 120)),
)
_PLAIN = ((170, 170, 165), (80, 82, 84))

#: Half of the head's ellipse beyond which nothing of the reference is kept, relative to the face's box.
_REACH = 2.6


def problems(model: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is wrong with a model's arguments, as fal says it."""
    fields = MODELS[model]
    found = [_problem(name, "extra_forbidden", "Extra inputs are not permitted") for name in arguments.keys() - fields]
    required = ("prompt", _REQUIRED[model])
    found += [_problem(name, "missing", "Field required") for name in required if not arguments.get(name)]
    for name, limits in fields.items():
        value = arguments.get(name)
        if limits and value is not None and not (isinstance(value, int | float) and limits[0] <= value <= limits[1]):
            found.append(_problem(name, "greater_than", f"Input should be {limits[0]} to {limits[1]}"))
    if not found:
        try:
            _picture(arguments[_REQUIRED[model]])
        except ValueError as error:
            found.append(_problem(_REQUIRED[model], "image_load_error", str(error)))
    return found


def make(model: str, arguments: dict[str, Any]) -> tuple[bytes, int, int, int]:
    """Make a model's picture.

    Returns:
        The file, its width and height in pixels, and the seed.
    """
    seed = arguments.get("seed")
    seed = secrets.randbelow(2**32) if seed is None else int(seed)
    source = _picture(arguments[_REQUIRED[model]])
    if model == "fal-ai/flux-pulid":
        size = arguments.get("image_size") or {"width": 1024, "height": 768}
        width, height = int(size["width"]), int(size["height"])
        pixels = portrait(source, str(arguments["prompt"]).lower(), width, height)
    else:
        height, width = source.shape[:2]
        pixels = harmonized(source, float(arguments.get("strength", 0.95)), seed)
    return faces.encode(pixels, width, height, prompt=str(arguments["prompt"])), width, height, seed


def portrait(reference: Pixels, prompt: str, width: int, height: int) -> Pixels:
    """Cut head and shoulders out of a reference and put them before a background, lit as the prompt says.

    Shapes:
        reference (h, w, 3), result (height, width, 3), both uint8 BGR.
    """
    found = faces.find_faces(reference)
    rows, columns = reference.shape[:2]
    face = found[0] if found else faces.FaceBox(0.3 * columns, 0.25 * rows, 0.7 * columns, 0.75 * rows)
    side = _REACH * max(face.right - face.left, face.bottom - face.top)
    left, top = (face.left + face.right - side) / 2, (face.top + face.bottom) / 2 - 0.45 * side
    scale = height / side
    matrix = np.array([[scale, 0, -left * scale + (width - height) / 2], [0, scale, -top * scale]], np.float32)
    framed = cv2.warpAffine(reference, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    corners = matrix @ np.array([[face.left, face.right], [face.top, face.bottom], [1, 1]], np.float32)
    person = _person(np.asarray(framed, np.uint8), corners)
    lit = _light(framed.astype(np.float32), person, prompt)
    background = _background(prompt, width, height)
    return np.asarray(np.clip(person[..., None] * lit + (1 - person[..., None]) * background, 0, 255), np.uint8)


def harmonized(pixels: Pixels, strength: float, seed: int) -> Pixels:
    """Bring tones together and lay a fine grain over a picture: seen, and gentle.

    Shapes:
        pixels and result (H, W, 3) uint8 BGR.
    """
    soft = cv2.bilateralFilter(pixels, 7, 40, 7).astype(np.float32)
    lab = cv2.cvtColor(np.asarray(np.clip(soft, 0, 255), np.uint8), cv2.COLOR_BGR2LAB).astype(np.float32)
    middle = lab.reshape(-1, 3).mean(axis=0)
    lab[..., 1:] += strength * 0.35 * (middle[1:] - lab[..., 1:])
    lab[..., 0] = 128 + (lab[..., 0] - 128) * (1 + 0.25 * strength)
    toned = cv2.cvtColor(np.asarray(np.clip(lab, 0, 255), np.uint8), cv2.COLOR_LAB2BGR).astype(np.float32)
    grain = np.random.default_rng(seed).normal(0, 9 * strength, pixels.shape[:2]).astype(np.float32)
    return np.asarray(np.clip(toned + cv2.GaussianBlur(grain, (0, 0), 0.7)[..., None], 0, 255), np.uint8)


def _person(framed: Pixels, corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tell head and shoulders from what is behind them, 1 to 0, by GrabCut around the face."""
    height, width = framed.shape[:2]
    shrink = 256 / max(height, width)
    small = cv2.resize(framed, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    (x1, x2), (y1, y2) = (corners * shrink).tolist()
    centre = (round((x1 + x2) / 2), round((y1 + y2) / 2))
    mask = np.full((rows, columns), cv2.GC_PR_BGD, np.uint8)
    mask[:4], mask[: rows // 2, :4], mask[: rows // 2, -4:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    axes = (round(0.95 * (x2 - x1)), round(0.95 * (y2 - y1)))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(mask, (centre[0], rows), (round(0.42 * columns), round(rows - y2)), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(mask, centre, (round(0.45 * (x2 - x1)), round(0.5 * (y2 - y1))), 0, 0, 360, cv2.GC_FGD, -1)
    cv2.rectangle(mask, (centre[0] - 6, round(y2)), (centre[0] + 6, rows - 1), cv2.GC_FGD, -1)
    cv2.setRNGSeed(1)
    cv2.grabCut(small, mask, (0, 0, columns, rows), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    # What only touches the person is not a part of her.
    _, parts = cv2.connectedComponents(cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)))
    row, column = min(max(centre[1], 0), rows - 1), min(max(centre[0], 0), columns - 1)
    person = (parts == parts[row, column]).astype(np.float32)
    closed = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    large = cv2.resize(cv2.GaussianBlur(closed, (0, 0), 1.2), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large, 0, 1), np.float32)


def _light(pixels: NDArray[np.float32], person: NDArray[np.float32], prompt: str) -> NDArray[np.float32]:
    height, width = pixels.shape[:2]
    strength = 0.75 if "strong" in prompt else 0.3 if "dim" in prompt else 0.5
    across = np.linspace(1 + 0.5 * strength, 1 - strength, width, dtype=np.float32)[None, :]
    down = np.linspace(1 + 0.4 * strength, 1 - 0.7 * strength, height, dtype=np.float32)[:, None]
    gain = across if "from the side" in prompt else down if "from above" in prompt else np.ones((1, 1), np.float32)
    tint = np.ones(3, np.float32)
    if "warm" in prompt or "sunset" in prompt:
        tint = np.array([0.82, 0.97, 1.1], np.float32)
    elif "night" in prompt or "cool" in prompt:
        tint = np.array([1.12, 1.0, 0.86], np.float32)
    lit = pixels * gain[..., None] * tint
    if "from behind" in prompt:
        rim = person - cv2.erode(person, np.ones((15, 15), np.uint8))
        lit = lit * 0.7 + 160 * strength * cv2.GaussianBlur(rim, (0, 0), 4)[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.float32)


def _background(prompt: str, width: int, height: int) -> NDArray[np.float32]:
    bright, dark = next(((bright, dark) for word, bright, dark in _BACKGROUNDS if word in prompt), _PLAIN)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x = 0.12 if "from the side" in prompt else 0.5
    y = -0.1 if "from above" in prompt else 0.4
    distance = np.clip(np.hypot(columns / width - x, rows / height - y) / 0.95, 0, 1)[..., None]
    return np.asarray(np.array(bright) * (1 - distance) + np.array(dark) * distance, np.float32)


def _picture(url: Any) -> Pixels:
    head, _, data = str(url).partition(",")
    if not head.startswith(("data:image/jpeg;base64", "data:image/png;base64")):
        raise ValueError("the stand-in takes pictures as data URLs only")
    try:
        return faces.read(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise ValueError("the picture is not base64") from error


def _problem(name: str, kind: str, words: str) -> dict[str, Any]:
    return {"loc": ["body", name], "msg": words, "type": kind}
