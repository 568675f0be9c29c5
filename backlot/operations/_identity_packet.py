"""What the IdentityLens app sends of a captured face; its version 1, as leniently as its old server read it."""

import base64
import binascii
import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from backlot.errors import FaceUnfit, ImageUnreadable, NoFaceFound
from backlot.faces import MAX_SIDE_PX, QUALITY, FaceKeeper

#: Longest picture in base64, characters; the gateway and the function take 4.5 MB in all.
MAX_FACE_CHARS = 4_500_000


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class CapturedImage(_Part):
    """The picture: `cleanFace` is a JPEG in base64."""

    clean_face: str = Field("", alias="cleanFace", max_length=MAX_FACE_CHARS)


class FacialData(_Part):
    """Where the face is: `{left, top, right, bottom}` from 0 to 1, or `{x, y, width, height}` in pixels."""

    bounding_box: dict[str, Any] | None = Field(None, alias="boundingBox")


class QualityMetrics(_Part):
    """What the app says about its capture."""

    passed: bool | None = None
    overall_score: float | None = Field(None, alias="overallScore")


class IdentityPacket(_Part):
    """A captured face."""

    image: CapturedImage = Field(default_factory=lambda: CapturedImage(cleanFace=""))
    facial_data: FacialData | None = Field(None, alias="facialData")
    quality_metrics: QualityMetrics | None = Field(None, alias="qualityMetrics")

    def keep(self, faces: FaceKeeper) -> str:
        """Store the face's picture, and return where it lies.

        Raises:
            NoFaceFound: the packet has no picture or no box.
            FaceUnfit: the app itself, or the pixels, say that it cannot be used.
        """
        metrics = self.quality_metrics
        if metrics is not None and metrics.passed is False:
            score = "" if metrics.overall_score is None else f" with a score of {metrics.overall_score:.2f}"
            raise FaceUnfit(problem="capture", reason=f"the capture did not pass its own check{score}")
        return faces.keep(self._picture(), self._checked)

    def _picture(self) -> bytes:
        text = self.image.clean_face.strip()
        if text.startswith("data:"):
            text = text.partition(",")[2]
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            data = b""
        # Apps that were built without their capture send a placeholder's words.
        if not data or self.facial_data is None or not self.facial_data.bounding_box:
            raise NoFaceFound()
        return data

    def _checked(self, data: bytes) -> bytes:
        # The API imports what looks at pixels only when it has to look.
        from backlot.images import codecs, masks  # noqa: PLC0415
        from backlot.images.face_quality import check_face  # noqa: PLC0415

        try:
            picture = codecs.decode(data)
        except ImageUnreadable as error:
            raise FaceUnfit(problem="unread", reason=f"its picture cannot be read: {error.fields['reason']}") from error
        box = _pixels((self.facial_data or FacialData(boundingBox=None)).bounding_box or {}, *picture.pixels.size)
        check_face(picture, masks.Box(*box))
        return codecs.encode_jpeg(picture, max_side=MAX_SIDE_PX, quality=QUALITY)


def _pixels(box: dict[str, Any], width: int, height: int) -> tuple[float, float, float, float]:
    """Read a bounding box in either of its forms, clamped to the picture.

    Raises:
        NoFaceFound: it is neither, or has no area within the picture.
    """
    try:
        if "left" in box:
            scales = (width, height, width, height)
            sides = [float(box[name]) * scale for name, scale in zip(_RELATIVE, scales, strict=True)]
        else:
            x, y, box_width, box_height = (float(box[name]) for name in _ABSOLUTE)
            sides = [x, y, x + box_width, y + box_height]
    except (KeyError, TypeError, ValueError) as error:
        raise NoFaceFound() from error
    if not all(math.isfinite(side) for side in sides):
        raise NoFaceFound()
    left, right = (min(max(side, 0.0), float(width)) for side in (sides[0], sides[2]))
    top, bottom = (min(max(side, 0.0), float(height)) for side in (sides[1], sides[3]))
    if right <= left or bottom <= top:
        raise NoFaceFound()
    return left, top, right, bottom


_RELATIVE = ("left", "top", "right", "bottom")
_ABSOLUTE = ("x", "y", "width", "height")
