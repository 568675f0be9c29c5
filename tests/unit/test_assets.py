"""Names of results, prices, and what of them is promised."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.assets import MASK_PREFIX, SEEDREAM_PREFIX, is_mask_key, result_key
from tests.unit.fakes import NOW_MS


def test_result_key_tells_the_time_in_utc_and_the_type():
    key = result_key(SEEDREAM_PREFIX, "task", "swap-face", NOW_MS, "image/jpeg")
    assert re.fullmatch(r"seedream/20261121_100000_[0-9a-f]{16}\.jpg", key)


@pytest.mark.parametrize(("kind", "ending"), [("image/png", "png"), ("image/jpeg", "jpg"), ("image/webp", "webp")])
def test_result_key_ends_as_its_type(kind, ending):
    assert result_key("", "task", "step", NOW_MS, kind).endswith(f".{ending}")


@given(st.uuids(), st.uuids())
def test_result_key_is_the_same_for_the_same_step_and_no_other(one, other):
    key = result_key(MASK_PREFIX, str(one), "mask-face", NOW_MS, "image/png")
    assert key == result_key(MASK_PREFIX, str(one), "mask-face", NOW_MS, "image/png")
    assert key != result_key(MASK_PREFIX, str(one), "swap-face", NOW_MS, "image/png")
    assert (key == result_key(MASK_PREFIX, str(other), "mask-face", NOW_MS, "image/png")) is (one == other)


@given(st.uuids(), st.integers(0, 4_000_000_000_000))
def test_is_mask_key_of_a_masks_key_is_true(task_id, created_ms):
    assert is_mask_key(result_key(MASK_PREFIX, str(task_id), "mask-face", created_ms, "image/png"))


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "seedream/20261121_100000_0123456789abcdef.jpg",
        "images/face_swap/20261121_100000_0123456789abcdef.jpg",
        "images/face_swap/20261121_100000_0123456789abcde.png",
        "images/face_swap/x/20261121_100000_0123456789abcdef.png",
        "uploads/images/face_swap/20261121_100000_0123456789abcdef.png",
        "images/face_swap/20261121_100000_0123456789abcdef.png\n",
        "images/face_swap/\u0662\u0660261121_100000_0123456789abcdef.png",
    ],
)
def test_is_mask_key_of_anything_else_is_false(key):
    assert is_mask_key(key) is False
