"""Whether a picture shows a face well enough to keep its identity: pure decisions on pixels."""

from PIL import Image, ImageFilter, ImageStat

from backlot.errors import FaceUnfit
from backlot.images.codecs import Picture, flatten
from backlot.images.masks import Box

#: The encoder of identities looks at 112 by 112 px (ArcFace, section 4.1); a smaller face would only be enlarged.
MIN_FACE_PX = 112

#: The face is measured at this size at most, so that the same face gives the same number in a picture of any size.
MEASURED_PX = 192

#: Variance of the Laplacian of a face at that size, below which it is blurred. Measured on the portraits that local
#: mode ships: 1100 as they are, 150 with a blur of 1 px, 22 with 2 px.
MIN_SHARPNESS = 40.0

#: Mean grey of a face, of 255, between which it has detail. Dark skin in even light lies above 50.
MIN_GREY, MAX_GREY = 28.0, 240.0

#: Laplacian; the offset keeps negative values.
_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def check_face(picture: Picture, face: Box) -> None:
    """Refuse a face from which no portrait can be made that looks like it.

    Args:
        picture: with the face.
        face: in pixels of the picture.

    Raises:
        FaceUnfit: it is too small, blurred, dark or bright; the reason says which, and the number.
    """
    bounds = (round(face.left), round(face.top), round(face.right), round(face.bottom))
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    if min(width, height) < MIN_FACE_PX:
        raise FaceUnfit(problem="small", reason=f"it has {width}x{height} px, each side needs at least {MIN_FACE_PX}")
    grey = flatten(picture.pixels.crop(bounds)).convert("L")
    brightness = ImageStat.Stat(grey).mean[0]
    if brightness < MIN_GREY:
        raise FaceUnfit(
            problem="dark", reason=f"it is too dark (brightness {brightness:.0f} of 255, at least {MIN_GREY:.0f})"
        )
    if brightness > MAX_GREY:
        raise FaceUnfit(
            problem="bright", reason=f"it is too bright (brightness {brightness:.0f} of 255, at most {MAX_GREY:.0f})"
        )
    found = sharpness(grey)
    if found < MIN_SHARPNESS:
        raise FaceUnfit(
            problem="blurred", reason=f"it is blurred (sharpness {found:.0f}, at least {MIN_SHARPNESS:.0f})"
        )


def sharpness(grey: Image.Image) -> float:
    """Return the variance of the Laplacian at the size at which faces are measured.

    Args:
        grey: mode L; larger pictures are reduced, smaller ones are not enlarged.
    """
    copy = grey.copy()
    copy.thumbnail((MEASURED_PX, MEASURED_PX), Image.Resampling.LANCZOS)
    edges = copy.filter(_LAPLACIAN).crop((1, 1, copy.width - 1, copy.height - 1))
    return float(ImageStat.Stat(edges).var[0])
