"""The edges of masks: moved outwards or inwards, and softened. Pillow only, since the functions have no OpenCV."""

from PIL import Image, ImageChops, ImageFilter

#: Standard deviation of a soft edge, pixels; as the old server had it.
SOFT_SIGMA_PX = 3.0


def grown(mask: Image.Image, grow_px: int) -> Image.Image:
    """Move a mask's edge: dilation, or erosion if negative, by a square of side 2·|grow_px| + 1.

    Outside the picture nothing is marked and nothing is unmarked. A square is a row after a column, and a row of n
    pixels the union of two shorter ones, so that the cost grows with the logarithm of the distance.

    Args:
        mask: mode L.
        grow_px: how far, pixels.
    """
    choose = ImageChops.lighter if grow_px > 0 else ImageChops.darker
    for along in ((1, 0), (0, 1)):
        for sign in (1, -1):
            reached = 0
            while reached < abs(grow_px):
                step = min(reached + 1, abs(grow_px) - reached)
                mask = choose(mask, _shifted(mask, sign * step * along[0], sign * step * along[1], grow_px < 0))
                reached += step
    return mask


def softened(mask: Image.Image) -> Image.Image:
    """Blur a mask's edge (Gaussian, sigma `SOFT_SIGMA_PX`)."""
    return mask.filter(ImageFilter.GaussianBlur(SOFT_SIGMA_PX))


def within(mask: Image.Image, box: list[float]) -> Image.Image:
    """Unmark what lies outside a box.

    Args:
        mask: mode L.
        box: left, top, right, bottom, pixels.
    """
    sides = (round(box[0]), round(box[1]), round(box[2]), round(box[3]))
    kept = Image.new("L", mask.size, 0)
    kept.paste(mask.crop(sides), sides)
    return kept


def _shifted(mask: Image.Image, right: int, down: int, fill_white: bool) -> Image.Image:
    moved = Image.new("L", mask.size, 255 if fill_white else 0)
    moved.paste(mask, (right, down))
    return moved
