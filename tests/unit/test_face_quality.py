"""Which faces can be used."""

import pytest
from PIL import Image, ImageFilter

from backlot.errors import FaceUnfit
from backlot.images.codecs import Picture
from backlot.images.face_quality import MAX_GREY, MIN_FACE_PX, MIN_GREY, MIN_SHARPNESS, check_face, sharpness
from backlot.images.masks import Box

#: A face is stood for by noise: what matters here is size, light and edges.
NOISE = Image.effect_noise((400, 400), 40)


def problem(image: Image.Image, side: float = 400) -> object:
    try:
        check_face(Picture(image), Box(0, 0, side, 400))
    except FaceUnfit as error:
        return error.fields["problem"]
    return None


def test_good_face_passes_in_every_mode():
    for mode in ("L", "RGB", "RGBA"):
        assert problem(NOISE.convert(mode)) is None


@pytest.mark.parametrize(("side", "expected"), [(MIN_FACE_PX, None), (MIN_FACE_PX - 1, "small")])
def test_face_needs_its_pixels(side, expected):
    assert problem(NOISE, side) == expected


@pytest.mark.parametrize(
    ("grey", "expected"),
    [(MIN_GREY + 2, None), (MIN_GREY - 2, "dark"), (MAX_GREY - 2, None), (MAX_GREY + 2, "bright")],
)
def test_face_needs_light_but_not_too_much(grey, expected):
    image = Image.new("L", (400, 400), round(grey))
    # Fine lines of grey levels around the mean, which keep it.
    for column in range(0, 400, 2):
        image.paste(round(grey) + 9, (column, 0, column + 1, 400))
        image.paste(round(grey) - 9, (column + 1, 0, column + 2, 400))
    crop = image.crop((0, 0, 150, 150))
    try:
        check_face(Picture(crop), Box(0, 0, 150, 150))
        found = None
    except FaceUnfit as error:
        found = error.fields["problem"]
    assert found == expected


def test_blurred_face_is_refused_and_the_limit_lies_where_the_measure_says():
    blurred = [NOISE.filter(ImageFilter.GaussianBlur(radius)) for radius in (0, 1, 2, 4, 6)]
    measured = [sharpness(image) for image in blurred]
    assert measured == sorted(measured, reverse=True)
    assert [problem(image) for image in blurred] == [
        None if value >= MIN_SHARPNESS else "blurred" for value in measured
    ]
    assert measured[0] > MIN_SHARPNESS > measured[-1]


def test_only_the_face_is_looked_at():
    picture = Image.new("L", (400, 400), 0)
    picture.paste(NOISE.resize((150, 150)), (100, 100))
    check_face(Picture(picture), Box(100, 100, 250, 250))
    with pytest.raises(FaceUnfit, match="too dark"):
        check_face(Picture(picture), Box(250, 250, 400, 400))
