"""Reading face boxes out of a model's words."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.images.masks import Box
from backlot.providers.boxes import BOX_KEYS, read_boxes

A, B = Box(100, 200, 300, 400), Box(500, 600, 700, 800)

coordinates = st.integers(0, 1000)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates)


@pytest.mark.parametrize(
    "text",
    [
        '{"faces": [{"bbox_2d": [100, 200, 300, 400], "label": "face"}]}',
        '[{"bbox": [100, 200, 300, 400], "gender": "female"}]',
        '{"head_bbox": [100,200,300,400]}',
        '{"face_bbox": [ 100 , 200 , 300 , 400 ]}',
        "{'bbox_2d': [100, 200, 300, 400]}",
        "{bbox_2d: [100, 200, 300, 400]}",
        '{"bbox_2d": ["100", "200", "300", "400"]}',
        '{"bbox_2d": [100.0, 200.00, 300.0, 400.0]}',
        '{"bbox_2d": [[100, 200], [300, 400]]}',
        '{"bbox_2d": [[100, 200, 300, 400]]}',
        '{"bbox_2d": [300, 400, 100, 200]}',
        '{"bbox_2d":\n\t[100,\n200,\n300,\n400]\n}',
        '```json\n[{"bbox_2d": [100, 200, 300, 400]}]\n```',
        'Here is the face:\n```\n{"bbox_2d": [100, 200, 300, 400]}\n```\nI hope that helps {or not}!',
        '{{"bbox_2d": [100, 200, 300, 400]}}',
        '[{"bbox_2d": [100, 200, 300, 400] "label": "face"',
        "The face is at [100, 200, 300, 400].",
        "[[100, 200, 300, 400]]",
    ],
)
def test_read_boxes_of_one_face_in_any_form_finds_it(text):
    assert read_boxes(text) == [A]


@pytest.mark.parametrize(
    "text",
    [
        '[{"bbox_2d": [100, 200, 300, 400]}, {"bbox_2d": [500, 600, 700, 800]}]',
        '[{"bbox_2d": [100, 200, 300, 400]} {"bbox": [500, 600, 700, 800]}]',
        '{"bbox_2d": [100, 200, 300, 400], "bbox_2d": [500, 600, 700, 800]}',
        '[{"bbox_2d": [100, 200, 300, 400]}, {"bbox_2d": [500, 600, 700, 800]}, {"bbox_2d": [12, ',
        "[100, 200, 300, 400], [500, 600, 700, 800]",
    ],
)
def test_read_boxes_of_two_faces_keeps_their_order(text):
    assert read_boxes(text) == [A, B]


@pytest.mark.parametrize("other", ["bbox", "head_bbox", "face_bbox"])
@pytest.mark.parametrize("first", [True, False], ids=["better name first", "better name last"])
def test_read_boxes_of_one_face_under_several_names_takes_the_first_name(other, first):
    named = ['"bbox_2d": [100, 200, 300, 400]', f'"{other}": [90, 190, 310, 410]']
    face = "{" + ", ".join(named if first else reversed(named)) + "}"

    assert read_boxes(f'[{face}, {{"bbox_2d": [500, 600, 700, 800]}}]') == [A, B]


def test_read_boxes_beside_other_numbers_takes_the_named_ones():
    text = '{"size": [1, 2, 3, 4], "body": [9, 9, 99, 99], "faces": [{"bbox_2d": [100, 200, 300, 400]}]}'
    assert read_boxes(text) == [A]


@pytest.mark.parametrize(
    ("numbers", "box"),
    [
        ([-1, -50, 1001, 99999], Box(0, 0, 1000, 1000)),
        ([0, 0, 1000, 1000], Box(0, 0, 1000, 1000)),
        ([10**400, 1, 2, 3], Box(2, 1, 1000, 3)),
    ],
)
def test_read_boxes_beyond_the_grid_are_clamped(numbers, box):
    assert read_boxes(json.dumps({"bbox_2d": numbers})) == [box]


@pytest.mark.parametrize("numbers", [[5, 5, 5, 9], [5, 5, 9, 5], [1500, 0, 1600, 10], [0, 0, 0, 0]])
def test_read_boxes_without_area_are_left_out(numbers):
    assert read_boxes(json.dumps([{"bbox_2d": numbers}, {"bbox_2d": [100, 200, 300, 400]}])) == [A]


@pytest.mark.parametrize("text", ['{"faces": []}', "[]", "", "  ", "There is no face.", "null", "```json\n[]\n```"])
def test_read_boxes_of_an_answer_that_names_none_is_empty(text):
    assert read_boxes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"faces": [{"bbox_2d": [12, ',
        '{"faces": [',
        '{"bbox_2d": null}',
        '{"bbox_2d": [1, 2, 3]}',
        '{"bbox_2d": [1, 2, 3, 4, 5]}',
        '{"bbox_2d": {"x": 1}}',
        '{"bbox_2d": ["a", "b", "c", "d"]}',
        "[1, 2]",
        "{",
        "]",
    ],
)
def test_read_boxes_of_an_answer_that_tries_and_fails_is_none(text):
    assert read_boxes(text) is None


@given(st.lists(boxes, min_size=1), st.sampled_from(BOX_KEYS), st.sampled_from([None, 0, 1, 4]))
def test_read_boxes_of_json_are_its_boxes(faces, key, indent):
    meant = [Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)) for x1, y1, x2, y2 in faces]
    text = json.dumps({"faces": [{key: face, "label": "face"} for face in faces]}, indent=indent)

    assert read_boxes(text) == [box for box in meant if not box.is_empty]


@given(st.lists(st.sampled_from([*'[]{}",:0123456789.- \n', *BOX_KEYS]), max_size=200).map("".join))
def test_read_boxes_of_any_text_lie_in_the_grid(text):
    for box in read_boxes(text) or []:
        assert 0 <= box.left < box.right <= 1000
        assert 0 <= box.top < box.bottom <= 1000


#: Texts that make a backtracking pattern try all ways of sharing out what repeats.
HOSTILE = {
    "braces": "{",
    "brackets": "[",
    "brackets and spaces": "[ ",
    "spaces after a bracket": (" ", "["),
    "spaces after a name": (" ", "bbox_2d: ["),
    "spaces after a number": (" ", "bbox_2d: [1"),
    "digits": ("1", "[1, 2, 3."),
    "names": "bbox_2d: [",
    "beginnings": "[1, 2, 3, ",
    "quotes": "[\"1' , ",
    "boxes under changing names": "bbox_2d: [1,2,3,4] face_bbox: [1,2,3,4] ",
}


def hostile(name: str, length: int) -> str:
    part, beginning = HOSTILE[name] if isinstance(HOSTILE[name], tuple) else (HOSTILE[name], "")
    return beginning + part * (length // len(part))


@pytest.mark.parametrize("name", HOSTILE)
def test_read_boxes_of_a_hostile_text_takes_linear_time(name):
    began = time.process_time()
    read_boxes(hostile(name, 100_000))

    # Quadratic patterns take minutes for this; linear ones a few hundredths of a second.
    assert time.process_time() - began < 1
