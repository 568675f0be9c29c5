"""Objects cut out of pictures by a mask, and what they look like with a shadow: Pillow only."""

from PIL import Image, ImageChops, ImageFilter

from backlot.errors import MaskEmpty
from backlot.images.codecs import flatten

#: Sides of the squares into which an object is fitted, pixels: the smaller one if it fits there.
SMALL_SIDE_PX, LARGE_SIDE_PX = 512, 1024

#: Ground of a shadow's preview, and the brightness from which a pixel of an object without a mask counts as ground.
PREVIEW_GROUND = (0xF5, 0xF5, 0xF5)
NEARLY_WHITE = 250


def cut_out(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the picture with the mask as its opacity.

    Args:
        picture: any of the modes of `codecs.Picture`.
        mask: grey; scaled to the picture if it has another size.
    """
    cut = flatten(picture).convert("RGB")
    cut.putalpha(_fitted(mask, cut.size))
    return cut


def on_white_square(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Crop a picture to its mask, lay what is marked on white, and fit it into a square, enlarged if it is smaller.

    Raises:
        MaskEmpty: nothing is marked.
    """
    cut = cut_out(picture, mask)
    box = cut.getchannel("A").getbbox()
    if box is None:
        raise MaskEmpty(reason="nothing is marked in the mask")
    cut = flatten(cut.crop(box))
    side = SMALL_SIDE_PX if max(cut.size) <= SMALL_SIDE_PX else LARGE_SIDE_PX
    scale = side / max(cut.size)
    size = (max(round(cut.width * scale), 1), max(round(cut.height * scale), 1))
    square = Image.new("RGB", (side, side), "white")
    square.paste(cut.resize(size, Image.Resampling.LANCZOS), ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def with_shadow(
    picture: Image.Image,
    mask: Image.Image | None,
    *,
    offset: tuple[int, int],
    opacity: float,
    blur_px: int,
) -> Image.Image:
    """Show an object on light grey with its shadow, which is the mask moved and blurred.

    Args:
        picture: with the object.
        mask: grey, 255 on the object; None for the picture's own opacity, or for all that is not nearly white.
        offset: of the shadow, to the right and down, pixels.
        opacity: of the shadow, 0 to 1.
        blur_px: width of the blur's kernel, pixels; its sigma is 0.3·((blur_px - 1)/2 - 1) + 0.8, as OpenCV has it.
    """
    shape = _fitted(mask, picture.size) if mask is not None else _own_shape(picture)
    shadow = Image.new("L", picture.size, 0)
    shadow.paste(shape, offset)
    shadow = shadow.filter(ImageFilter.GaussianBlur(max(0.3 * ((blur_px - 1) / 2 - 1) + 0.8, 0)))
    shown = Image.new("RGB", picture.size, PREVIEW_GROUND)
    shown.paste((0, 0, 0), (0, 0), shadow.point(lambda value: value * opacity))
    shown.paste(picture.convert("RGB"), (0, 0), shape)
    return shown


def _fitted(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    grey = flatten(mask).convert("L")
    return grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR)


def _own_shape(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGBA":
        return picture.getchannel("A")
    red, green, blue = picture.convert("RGB").split()
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return darkest.point(lambda value: 255 * (value < NEARLY_WHITE))
