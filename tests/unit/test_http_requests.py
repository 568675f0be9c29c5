"""What is read of a request: owner, body, idempotency key, wait."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.errors import ApiKeyMissing, RequestTooLarge
from backlot.operations import RequestContext, operation_named
from lambdas.serve_api.http_requests import (
    MAX_BODY_BYTES,
    MAX_ECHO_CHARS,
    MAX_WAIT_S,
    BadRequest,
    asked_wait_s,
    idempotency_key,
    owner,
    parse_body,
)
from tests.unit.api import proxy_event

URL = "https://images.example.com/a.jpg"
FACE_MASK, FULL_FACE_SWAP = (operation_named(name).request for name in ("face-mask", "full-face-swap"))


def parsed(body, model=FACE_MASK, **parts):
    return parse_body(proxy_event(body=body, **parts), model, RequestContext())


def problems(body, model=FACE_MASK, **parts) -> list[dict]:
    with pytest.raises(BadRequest) as caught:
        parsed(body, model, **parts)
    return caught.value.problems


def test_owner_is_the_api_keys_id():
    assert owner(proxy_event(key_id="key-7")) == "key-7"


@pytest.mark.parametrize("key_id", [None, ""])
def test_owner_of_a_request_without_a_key_is_missing(key_id):
    with pytest.raises(ApiKeyMissing):
        owner(proxy_event(key_id=key_id))


@pytest.mark.parametrize("in_base64", [False, True])
def test_body_is_read_in_text_and_in_base64(in_base64):
    assert parsed({"image_url": URL, "face_index": 2}, in_base64=in_base64).face_index == 2


@pytest.mark.parametrize(
    ("face_index", "read"), [(None, 0), (0, 0), (999, 999), (1.0, 1), ("3", 3)], ids=["null", "0", "999", "1.0", "text"]
)
def test_body_with_a_face_index_in_the_forms_of_old_clients_is_read(face_index, read):
    assert parsed({"image_url": URL, "face_index": face_index}).face_index == read


@pytest.mark.parametrize(
    ("body", "location", "kind"),
    [
        (None, ["body"], "missing"),
        ("", ["body"], "missing"),
        (" \n", ["body"], "missing"),
        ("null", ["body"], "model_attributes_type"),
        ("[]", ["body"], "model_attributes_type"),
        ('"text"', ["body"], "model_attributes_type"),
        ('{"image_url": ', ["body"], "json_invalid"),
        ('{"image_url": "\\ud83d"}', ["body"], "json_invalid"),
        ('{"image_url": "\ud83d"}', ["body"], "json_invalid"),
        ("[" * 5000, ["body"], "json_invalid"),
        ("{}", ["body", "image_url"], "missing"),
        ('{"image_url": null}', ["body", "image_url"], "string_type"),
        (json.dumps({"image_url": "http://a.example/"}), ["body", "image_url"], "image_url_refused"),
        (json.dumps({"image_url": URL, "face_index": -1}), ["body", "face_index"], "greater_than_equal"),
        (json.dumps({"image_url": URL, "face_index": 1000}), ["body", "face_index"], "less_than_equal"),
        (json.dumps({"image_url": URL, "face_index": 0.5}), ["body", "face_index"], "int_from_float"),
        (json.dumps({"image_url": URL, "face_index": "x"}), ["body", "face_index"], "int_parsing"),
    ],
)
def test_body_that_is_wrong_names_the_place_and_the_kind(body, location, kind):
    (problem,) = problems(body)
    assert (problem["loc"], problem["type"]) == (location, kind)
    assert set(problem) == {"type", "loc", "msg", "input"}


def test_body_with_several_faults_names_them_all():
    body = {"source_image_url": "x", "face_index": -1, "size": "1x1", "skip_mask": "maybe"}
    places = [problem["loc"][-1] for problem in problems(body, FULL_FACE_SWAP)]
    assert places == ["source_image_url", "target_face_url", "face_index", "size", "skip_mask"]


def test_body_that_is_no_base64_is_no_json():
    wrong = proxy_event(body="%%%")
    wrong.raw_event["isBase64Encoded"] = True
    with pytest.raises(BadRequest) as caught:
        parse_body(wrong, FACE_MASK, RequestContext())
    assert caught.value.problems[0]["type"] == "json_invalid"


def test_body_has_its_largest_size():
    frame = len(json.dumps({"image_url": URL, "x": ""}))
    body = {"image_url": URL, "x": "x" * (MAX_BODY_BYTES - frame)}
    assert parsed(body).image_url == URL
    with pytest.raises(RequestTooLarge, match=f"{MAX_BODY_BYTES + 1} bytes, {MAX_BODY_BYTES} are allowed"):
        parsed(body | {"x": body["x"] + "x"})


@pytest.mark.parametrize("length", [MAX_ECHO_CHARS, MAX_ECHO_CHARS + 1])
def test_problem_repeats_so_much_of_the_input_only(length):
    (problem,) = problems({"image_url": "x" * length})
    assert problem["input"] == ("x" * length if length == MAX_ECHO_CHARS else "x" * MAX_ECHO_CHARS + "…")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_problem_repeats_any_input_in_json_of_a_bounded_size(value):
    found = problems({"image_url": value})
    assert len(json.dumps(found, allow_nan=False)) < 20_000


@pytest.mark.parametrize(("key", "read"), [("k", "k"), (" k ", "k"), ("k" * 255, "k" * 255)])
@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key"])
def test_idempotency_key_is_read_without_the_spaces_around_it(name, key, read):
    assert idempotency_key(proxy_event(headers={name: key})) == read


def test_idempotency_key_that_is_not_sent_is_none():
    assert idempotency_key(proxy_event()) is None


@pytest.mark.parametrize("key", ["", "  ", "k" * 256])
def test_idempotency_key_that_is_empty_or_too_long_is_refused(key):
    with pytest.raises(BadRequest) as caught:
        idempotency_key(proxy_event(headers={"Idempotency-Key": key}))
    assert caught.value.problems[0]["loc"] == ["header", "Idempotency-Key"]


@pytest.mark.parametrize(
    ("parts", "wait_s"),
    [
        ({}, 0),
        ({"query": {"wait": "0"}}, 0),
        ({"query": {"wait": "2.5"}}, 2.5),
        ({"query": {"wait": "25"}}, MAX_WAIT_S),
        ({"query": {"wait": "26"}}, MAX_WAIT_S),
        ({"query": {"wait": "999999999"}}, MAX_WAIT_S),
        ({"headers": {"Prefer": "wait=20"}}, 20),
        ({"headers": {"prefer": "respond-async, wait=20"}}, 20),
        ({"headers": {"Prefer": "wait=20; foo"}}, 20),
        ({"headers": {"Prefer": "wait=" + "9" * 400}}, MAX_WAIT_S),
        ({"headers": {"Prefer": "respond-async"}}, 0),
        ({"headers": {"Prefer": "nowait=20"}}, 0),
        ({"headers": {"Prefer": "wait=soon"}}, 0),
        ({"query": {"wait": "3"}, "headers": {"Prefer": "wait=20"}}, 3),
        ({"query": {"other": "3"}}, 0),
    ],
)
def test_asked_wait_is_what_the_query_or_the_header_says(parts, wait_s):
    assert asked_wait_s(proxy_event(**parts)) == wait_s


@pytest.mark.parametrize("wait", ["", "soon", "-1", "1e3", "nan", "inf", " 1", "1.", "9999999999"])
def test_asked_wait_that_is_no_time_is_refused(wait):
    with pytest.raises(BadRequest) as caught:
        asked_wait_s(proxy_event(query={"wait": wait}))
    assert caught.value.problems[0]["loc"] == ["query", "wait"]
