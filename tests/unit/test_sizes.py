"""Output sizes: what each model takes, and the automatic choice."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.images.sizes import LISTED_SIZES, automatic_size, parse_size, size_problem
from backlot.seedream_models import OfferedModels

FOUR, FIVE_PRO = "doubao-seedream-4-0-250828", "doubao-seedream-5-0-pro-260101"

#: The ratios at which the choice changes, and what is chosen below, at and above them. At a tie the earlier entry of
#: the list wins.
BORDERS = [
    ((59, 96), "1440x2560", "1440x2560", "1664x2496"),
    ((17, 24), "1664x2496", "1728x2304", "1728x2304"),
    ((7, 8), "1728x2304", "2048x2048", "2048x2048"),
    ((7, 6), "2048x2048", "2048x2048", "2304x1728"),
    ((17, 12), "2304x1728", "2304x1728", "2496x1664"),
    ((59, 36), "2496x1664", "2560x1440", "2560x1440"),
    ((37, 18), "2560x1440", "2560x1440", "3024x1296"),
]

sides = st.integers(1, 60_000)


@pytest.mark.parametrize("size", LISTED_SIZES.values(), ids=LISTED_SIZES)
def test_automatic_size_of_a_listed_ratio_is_the_listed_size(size):
    assert automatic_size(*size) == f"{size[0]}x{size[1]}"


@pytest.mark.parametrize(("ratio", "below", "at", "above"), BORDERS)
@pytest.mark.parametrize("scale", [1, 3, 10, 97])
def test_automatic_size_changes_exactly_at_the_border(ratio, below, at, above, scale):
    width, height = ratio[0] * scale, ratio[1] * scale
    nudge = 1_000_000
    assert automatic_size(width, height) == at
    assert automatic_size(width * nudge - 1, height * nudge) == below
    assert automatic_size(width * nudge + 1, height * nudge) == above


@given(sides, sides)
def test_automatic_size_has_the_nearest_ratio_of_the_eight(width, height):
    chosen = parse_size(automatic_size(width, height))
    distances = {size: abs(Fraction(*size) - Fraction(width, height)) for size in LISTED_SIZES.values()}
    assert distances[chosen] == min(distances.values())


@given(sides, sides, st.integers(1, 50))
def test_automatic_size_does_not_depend_on_the_resolution(width, height, scale):
    assert automatic_size(width, height) == automatic_size(width * scale, height * scale)


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_parse_size_reads_what_is_written(width, height):
    assert parse_size(f"{width}x{height}") == (width, height)


@pytest.mark.parametrize(
    "text", ["", "x", "2048", "2048x", "x2048", "2048X2048", "2048*2048", " 2048x2048", "2048x2048\n", "100000x10"]
)
def test_parse_size_of_another_form_is_none(text):
    assert parse_size(text) is None


@pytest.mark.parametrize(
    "text", ["\uff12\uff10\uff14\uff18x2048", "\u0662\u0660\u0664\u0668x2048", "02048x2048", "0x2048", "+2048x2048"]
)
def test_parse_size_of_digits_that_the_api_does_not_read_is_none(text):
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (FOUR, "1K"),
        (FOUR, "4K"),
        (FOUR, "960x960"),
        (FOUR, "4096x4096"),
        (FOUR, "16384x1024"),
        (FOUR, "1024x16384"),
        ("ep-20260101-abc", "1K"),
        ("doubao-seedream-4-5-251128", "2560x1440"),
        ("doubao-seedream-5-0-260101", "3K"),
        (FIVE_PRO, "1.5K"),
    ],
)
def test_size_problem_of_what_the_model_makes_is_none(model, size):
    assert size_problem(size, OfferedModels().limits(model)) is None


@pytest.mark.parametrize(
    ("model", "size", "problem"),
    [
        (FOUR, "3K", "must be 'auto', 1K, 2K, 4K, or WIDTHxHEIGHT"),
        (FOUR, "2k", "must be 'auto', 1K, 2K, 4K, or WIDTHxHEIGHT"),
        (FOUR, "960x959", "must have 921600 to 16777216 pixels, 960x959 has 920640"),
        (FOUR, "4097x4096", "must have 921600 to 16777216 pixels, 4097x4096 has 16781312"),
        (FOUR, "16385x1024", "must have 921600 to 16777216 pixels"),
        (FOUR, "16016x1000", "must have an aspect ratio of 1:16 to 16:1, 16016x1000 has 16:1"),
        (FOUR, "1000x16001", "must have an aspect ratio of 1:16 to 16:1"),
        ("doubao-seedream-4-5-251128", "1920x1919", "must have 3686400 to 16777216 pixels"),
        ("doubao-seedream-4-5-251128", "1K", "must be 'auto', 2K, 4K"),
        (FIVE_PRO, "3K", "must be 'auto', 1K, 1.5K, 2K"),
        (FIVE_PRO, "2151x2150", "must have 921600 to 4624220 pixels"),
    ],
)
def test_size_problem_of_what_the_model_does_not_make_says_what_it_makes(model, size, problem):
    found = size_problem(size, OfferedModels().limits(model))
    assert found.startswith(problem)
    assert "'auto'" in found
    assert "2K" in found
