"""What each checkpoint of the old server is given, image by image and pixel by pixel, in both of its versions.

The production code reads the shipped configuration and the request's files; what is expected is written down a second
time, naively, from the documented construction.
"""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from sagemaker_models.qwen_edit.conditions import CONDITIONS
from sagemaker_models.qwen_edit.pictures import build, read
from sagemaker_models.qwen_edit.task_config import TaskConfig
from tests.qwen_edit.checkpoints import EXAMPLES, png
from tests.qwen_edit.test_conditions import (
    naive_background,
    naive_canny,
    naive_shadow_background,
    naive_shadow_mask,
    noise,
    rounded,
    smooth,
    soft_mask,
)

#: The photo's size is one that the pipeline takes as it is; the mask has another, and so has the reference.
WIDTH, HEIGHT = 96, 64
PHOTO, MASK, REFERENCE = smooth(HEIGHT, WIDTH), soft_mask(40, 52), noise(20, 24, 3)
REFERENCE_MASK = np.zeros((20, 24), np.uint8)
REFERENCE_MASK[5:15, 8:20] = 255

SITUATIONS = {
    "plain": ("image", "mask"),
    "reference": ("image", "mask", "reference"),
    "two-mask": ("image", "mask", "reference", "reference_mask"),
}


def lanczos(pixels, width, height):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def in_colours(grey):
    return np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)


def placed():
    """The reference's object where the mask is: its box scaled into the mask's, and centred there."""
    mask = lanczos(MASK, WIDTH, HEIGHT)
    rows, columns = (np.flatnonzero((mask >= 128).any(axis=axis)) for axis in (1, 0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    scale = min(Fraction(int(wide), 12), Fraction(int(tall), 10))
    width, height = rounded(12 * scale), rounded(10 * scale)
    made = np.zeros((HEIGHT, WIDTH), np.uint8)
    top, left = rows[0] + (tall - height) // 2, columns[0] + (wide - width) // 2
    made[top : top + height, left : left + width] = lanczos(REFERENCE_MASK[5:15, 8:20], width, height)
    return made


def documented(name):
    """An image of the old server's, by the word that its lists have for it."""
    mask = lanczos(MASK, WIDTH, HEIGHT)
    holes = (mask > 0).astype(np.uint8)
    made = {
        "picture": lambda: PHOTO,
        "mask": lambda: in_colours(mask),
        "background": lambda: naive_background(PHOTO, mask),
        "foreground": lambda: naive_background(PHOTO, 255 - mask),
        "preview": lambda: cv2.inpaint(PHOTO, holes, 3, cv2.INPAINT_TELEA),
        "edges": lambda: naive_canny(PHOTO, 100, 200),
        "reference": lambda: lanczos(REFERENCE, WIDTH, HEIGHT),
        # 24 x 20 becomes 77 x 64, with 9 black columns before it and 10 behind.
        "undistorted reference": lambda: np.pad(lanczos(REFERENCE, 77, 64), ((0, 0), (9, 10), (0, 0))),
        "mask with shadow": lambda: in_colours(naive_shadow_mask(mask)),
        "background with shadow": lambda: naive_shadow_background(PHOTO, mask),
        "placed mask": lambda: in_colours(placed()),
        "background of the placed mask": lambda: naive_background(PHOTO, placed()),
    }
    return made[name]()


@pytest.mark.parametrize(
    ("example", "situation", "images", "labels"),
    [
        ("insertion", "plain", ["mask", "background"], ["mask", "masked_bg"]),
        ("insertion", "reference", ["reference", "mask", "background"], ["ref_img", "mask", "masked_bg"]),
        (
            "insertion",
            "two-mask",
            ["reference", "placed mask", "background of the placed mask"],
            ["ref_img", "positioned_R", "masked_bg"],
        ),
        ("insertion-shadow", "plain", ["mask", "background"], ["mask", "masked_bg"]),
        (
            "insertion-shadow",
            "reference",
            ["reference", "mask with shadow", "background with shadow"],
            ["ref_img", "mask", "masked_bg"],
        ),
        (
            "insertion-shadow",
            "two-mask",
            ["reference", "placed mask", "background of the placed mask"],
            ["ref_img", "positioned_R", "masked_bg"],
        ),
        ("removal", "plain", ["picture", "mask", "preview"], ["original", "mask", "mae"]),
        ("removal-background", "plain", ["background", "mask", "preview"], ["masked_bg", "mask", "mae"]),
        ("white-balance", "plain", ["picture", "edges"], ["input", "canny"]),
        ("split", "plain", ["mask", "background", "foreground"], ["mask", "masked_bg", "masked_fg"]),
        ("split", "reference", ["mask", "background", "undistorted reference"], ["mask", "masked_bg", "ref_img"]),
    ],
)
def test_checkpoint_is_given_the_documented_images_in_their_order(example, situation, images, labels):
    config = TaskConfig.model_validate(yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text()))
    files = {"image": PHOTO, "mask": MASK, "reference": REFERENCE, "reference_mask": REFERENCE_MASK}
    brought = read({name: png(files[name]) for name in SITUATIONS[situation]}, "original")
    listed = config.conditions[situation]

    made = build(tuple(each.image for each in listed), brought.scene)

    assert [each.called for each in listed] == labels
    assert len(made) == len(images)
    for image, name in zip(made, images, strict=True):
        np.testing.assert_array_equal(image, documented(name), name)


def test_every_situation_of_every_example_is_held():
    (mark,) = test_checkpoint_is_given_the_documented_images_in_their_order.pytestmark
    held = {(example, situation) for example, situation, _, _ in mark.args[1]}
    shipped = {path.stem: yaml.safe_load(path.read_text()) for path in EXAMPLES.glob("*.yaml")}
    assert held == {(name, situation) for name, values in shipped.items() for situation in values["conditions"]}


def test_lists_are_made_on_the_old_square_with_black_bars():
    """A picture of 300 x 100 is 512 x 171 on a square of 512, 170 black rows above it; its mask likewise."""
    photo, marked = smooth(100, 300), soft_mask(100, 300)
    scene = read({"image": png(photo), "mask": png(marked)}, "resized").scene
    square, mask = np.zeros((512, 512, 3), np.uint8), np.zeros((512, 512), np.uint8)
    square[170:341], mask[170:341] = lanczos(photo, 512, 171), lanczos(marked, 512, 171)

    np.testing.assert_array_equal(CONDITIONS["original"].build(scene), square)
    np.testing.assert_array_equal(CONDITIONS["mask"].build(scene), in_colours(mask))
    # Black bars stay black, whatever is taken from them.
    inside = (square.astype(int) * (255 - mask[:, :, None].astype(int)) * 2 + 255) // 510
    np.testing.assert_array_equal(CONDITIONS["background"].build(scene), inside)
