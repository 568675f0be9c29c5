"""The pictures that the demo's requests show: public-domain portraits, and what is drawn for masks."""

import base64
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from local.place import ROOT
from local.stand_ins import faces
from local.stand_ins.faces import Pixels

PORTRAITS = ROOT / "local" / "portraits"

ASTRONAUT, ADMIRAL = "astronaut.png", "grace_hopper.jpg"

#: What the catalogue's examples call their pictures, and the portraits that play them.
PLAYED_BY = {"scene.jpg": ASTRONAUT, "portrait.jpg": ADMIRAL, "person.jpg": ASTRONAUT}

#: Colours of clicks, BGR.
MEANT, BESIDE = (60, 255, 60), (60, 60, 255)

#: Light of a bulb on a camera that is set to daylight: factors of blue, green and red.
BULB = (0.62, 0.9, 1.18)


def portrait(name: str) -> Pixels:
    """Read a portrait.

    Shapes:
        (H, W, 3) uint8 BGR.
    """
    return faces.read((PORTRAITS / name).read_bytes())


def ellipse(like: Pixels, centre: tuple[int, int], radii: tuple[int, int]) -> Pixels:
    """Draw a mask as a person would, with a round brush: white on black.

    Args:
        like: the picture that is masked.
        centre: x and y, pixels.
        radii: across and down, pixels.

    Shapes:
        like (H, W, 3), result (H, W), uint8.
    """
    mask = np.zeros(like.shape[:2], np.uint8)
    cv2.ellipse(mask, centre, radii, 0, 0, 360, 255, cv2.FILLED, cv2.LINE_AA)
    return mask


def clicked(pixels: Pixels, points: Sequence[tuple[int, int]], labels: Sequence[int]) -> Pixels:
    """Return a picture with a cross where somebody clicked, green on what is meant and red beside it.

    Args:
        points: x and y, pixels.
        labels: 1 for what is meant.

    Shapes:
        pixels and result (H, W, 3) uint8 BGR.
    """
    marked = pixels.copy()
    for point, label in zip(points, labels, strict=True):
        cv2.drawMarker(marked, point, MEANT if label else BESIDE, cv2.MARKER_TILTED_CROSS, 26, 4)
    return marked


def tinted(pixels: Pixels) -> Pixels:
    """Return a picture as a camera takes it that is set to daylight, by a bulb.

    Shapes:
        pixels and result (H, W, 3) uint8 BGR.
    """
    return np.asarray(np.clip(pixels * np.array(BULB, np.float32), 0, 255), np.uint8)


def png(pixels: Pixels) -> bytes:
    """Encode as PNG."""
    return bytes(cv2.imencode(".png", pixels)[1])


def identity_packet(portrait: Path) -> dict[str, Any]:
    """Return what the IdentityLens app would send of a portrait: the picture, and where the face is on it."""
    data = portrait.read_bytes()
    pixels = faces.read(data)
    face, (height, width) = faces.find_faces(pixels)[0], pixels.shape[:2]
    sides = {
        "left": face.left / width,
        "top": face.top / height,
        "right": face.right / width,
        "bottom": face.bottom / height,
    }
    return {
        "version": "1.0",
        "captureId": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
        "image": {"cleanFace": base64.b64encode(data).decode(), "resolution": {"width": width, "height": height}},
        "facialData": {"boundingBox": sides, "eulerAngles": {"pitch": 0.0, "yaw": 0.0, "roll": 0.0}},
        "qualityMetrics": {"overallScore": 0.9, "passed": True},
    }
