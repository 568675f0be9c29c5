"""The paid APIs: what is sent, how answers are read, and what their errors become."""

import httpx
import pytest

from backlot.errors import (
    ContentRefused,
    MaybePaid,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
)
from backlot.providers.paid_api import MAX_REASON_CHARS, count
from backlot.providers.qwen_vl import QwenVL
from backlot.providers.seedream import Seedream

QWEN = QwenVL(base_url="https://dashscope.example/compatible-mode/v1", limit_s=30)
ARK = Seedream(base_url="https://ark.example/api/v3", limit_s=90.5)

WORDS = {
    "choices": [{"message": {"content": '{"faces": []}'}}],
    "model": "qwen3-vl-plus-2025-12-19",
    "usage": {"prompt_tokens": 1200, "completion_tokens": 58},
}
PICTURE = {
    "data": [{"url": "https://ark.example/picture.jpg"}],
    "model": "doubao-seedream-4-0-250828",
    "usage": {"generated_images": 1},
}


def find_faces() -> dict:
    return QWEN.find_boxes(key="secret", model="qwen3-vl-plus", prompt="faces?", image_url="data:image/jpeg;base64,AA")


def generate() -> dict:
    return ARK.generate(key="secret", model="seedream", prompt="swap", images=["data:1", "data:2"], size="2048x2048")


def test_find_faces_sends_the_picture_and_the_prompt_with_the_key(wire):
    wire.gives(WORDS)
    find_faces()

    (request,), (body,) = wire.sent, wire.bodies()
    assert str(request.url) == "https://dashscope.example/compatible-mode/v1/chat/completions"
    assert request.headers["Authorization"] == "Bearer secret"
    image, text = body["messages"][0]["content"]
    assert (image["image_url"]["url"], text["text"]) == ("data:image/jpeg;base64,AA", "faces?")


def test_find_faces_keeps_the_words_the_model_and_the_tokens(wire):
    wire.gives(WORDS)

    assert find_faces() == {
        "text": '{"faces": []}',
        "model": "qwen3-vl-plus-2025-12-19",
        "input_tokens": 1200,
        "output_tokens": 58,
    }


def test_find_faces_of_an_answer_in_parts_joins_them(wire):
    parts = [{"type": "text", "text": "[1, "}, "noise", {"text": "2]"}]
    wire.gives({"choices": [{"message": {"content": parts}}]})

    assert find_faces() == {"text": "[1, 2]", "model": "qwen3-vl-plus", "input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": " \n"}}]},
        {"choices": [{"message": {"content": []}}]},
    ],
)
def test_find_faces_of_an_answer_without_a_message_is_invalid(wire, answer):
    wire.gives(answer)
    with pytest.raises(
        ProviderAnswerInvalid, match="dashscope gave an answer that cannot be used: it holds no message"
    ):
        find_faces()


def test_generate_sends_the_pictures_in_their_order(wire):
    wire.gives(PICTURE)
    generate()

    (request,), (body,) = wire.sent, wire.bodies()
    assert str(request.url) == "https://ark.example/api/v3/images/generations"
    assert (body["image"], body["size"], body["watermark"]) == (["data:1", "data:2"], "2048x2048", False)


def test_generate_keeps_the_url_the_model_and_the_number_of_pictures(wire):
    wire.gives(PICTURE)

    assert generate() == {
        "pictures": [{"url": "https://ark.example/picture.jpg"}],
        "model": "doubao-seedream-4-0-250828",
        "images": 1,
    }


def test_generate_of_an_answer_without_a_bill_counts_its_picture(wire):
    wire.gives({"data": [{"url": "https://ark.example/picture.jpg"}]})

    assert generate()["images"] == 1


@pytest.mark.parametrize("data", [None, [], {}, [None], [{}], [{"url": ""}], [{"url": 5}], "url"])
def test_generate_of_an_answer_without_a_picture_is_invalid(wire, data):
    wire.gives({"data": data})
    with pytest.raises(ProviderAnswerInvalid, match="it names no picture"):
        generate()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("OutputImageSensitiveContentDetected", ContentRefused),
        ("InternalServiceError", ProviderUnavailable),
        ("SomethingElse", ProviderRefused),
    ],
)
def test_generate_of_a_picture_that_failed_inside_a_success_is_that_error(wire, code, error):
    wire.gives({"data": [{"error": {"code": code, "message": "no"}}]})
    with pytest.raises(error, match="no"):
        generate()


@pytest.mark.parametrize(
    ("call", "status", "body", "error"),
    [
        (find_faces, 400, {"error": {"code": "data_inspection_failed"}}, ContentRefused),
        (find_faces, 400, {"code": "DataInspectionFailed", "message": "no"}, ContentRefused),
        (find_faces, 200, {"code": "DataInspectionFailed", "message": "no"}, ContentRefused),
        (find_faces, 401, {"error": {"code": "invalid_api_key"}}, ProviderRefused),
        (find_faces, 400, {"error": {"type": "invalid_request_error"}}, ProviderRefused),
        (find_faces, 302, {}, ProviderRefused),
        (find_faces, 408, {}, ProviderUnavailable),
        (find_faces, 429, {"error": {"code": "limit_requests", "message": "too many"}}, ProviderThrottled),
        (find_faces, 429, {"error": {"code": "Throttling.AllocationQuota", "message": "slow"}}, ProviderThrottled),
        (find_faces, 429, {"error": {"code": "Throttling.AllocationQuota", "message": "Free tier"}}, ProviderRefused),
        (find_faces, 429, {"error": {"code": "insufficient_quota", "message": "see billing"}}, ProviderRefused),
        (find_faces, 500, {}, ProviderUnavailable),
        (find_faces, 503, b"<html>busy</html>", ProviderUnavailable),
        (generate, 400, {"error": {"code": "InputTextSensitiveContentDetected"}}, ContentRefused),
        (generate, 400, {"error": {"code": "InputImageRiskDetection"}}, ContentRefused),
        (generate, 403, b"forbidden", ProviderRefused),
        (generate, 404, {"error": {"code": "ModelNotOpen"}}, ProviderRefused),
        (generate, 429, {"error": {"code": "RateLimitExceeded"}}, ProviderThrottled),
        (generate, 429, {"error": {"code": "QuotaExceeded"}}, ProviderRefused),
        (generate, 429, {"error": {"code": "SetLimitExceeded"}}, ProviderRefused),
        (generate, 200, {"error": {"code": "Whatever"}}, ProviderRefused),
        (generate, 599, {}, ProviderUnavailable),
    ],
)
def test_error_of_a_provider_becomes_ours(wire, call, status, body, error):
    wire.gives(body, status)
    with pytest.raises(error) as caught:
        call()
    assert caught.value.fields["reason"]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (httpx.ConnectError("refused"), ProviderUnavailable),
        (httpx.ConnectTimeout("slow"), ProviderUnavailable),
        (httpx.WriteError("reset"), ProviderUnavailable),
        (httpx.ReadTimeout("slow"), ProviderTimedOut),
        (httpx.ReadError("reset"), MaybePaid),
        (httpx.RemoteProtocolError("closed"), MaybePaid),
    ],
)
def test_connection_that_fails_is_unavailable_before_and_maybe_paid_after_it_was_sent(wire, broken, error):
    wire.breaks(broken)
    with pytest.raises(error):
        generate()


def test_silence_of_a_provider_names_its_limit(wire):
    wire.breaks(httpx.ReadTimeout("slow"))
    with pytest.raises(ProviderTimedOut, match=r"ark did not answer within 90\.5 s"):
        generate()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b'{"data": ', "it is not JSON"),
        (b"\xff\xfe\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[1]", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b" " * 4_000_001, "it has 4000001 bytes"),
    ],
    ids=["empty", "html", "cut off", "binary", "nested", "list", "null", "too long"],
)
def test_answer_that_is_no_json_object_is_invalid(wire, body, reason):
    wire.gives(body)
    with pytest.raises(ProviderAnswerInvalid, match=reason):
        find_faces()


def test_words_of_a_provider_are_cut_to_a_length(wire):
    wire.gives({"error": {"code": "invalid", "message": "x" * 1000}}, 400)
    with pytest.raises(ProviderRefused) as caught:
        find_faces()
    assert len(caught.value.fields["reason"]) == MAX_REASON_CHARS


def test_error_of_a_provider_without_words_names_its_status(wire):
    wire.gives(b"", 502)
    with pytest.raises(ProviderUnavailable, match="HTTP 502"):
        find_faces()


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (7.9, 7),
        (0, 0),
        (-3, 0),
        (True, 0),
        ("7", 0),
        (None, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (float("-inf"), 0),
    ],
)
def test_count_of_what_is_no_amount_is_0(value, number):
    assert count(value) == number
