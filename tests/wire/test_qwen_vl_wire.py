"""The detector's client against DashScope's stand-in: what it sends is taken, and every fault is one of our errors."""

import json
from typing import get_args

import pytest

from backlot import prompts
from backlot.errors import (
    ContentRefused,
    MaybePaid,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
)
from backlot.images import codecs
from backlot.providers.boxes import read_boxes
from local.demo import PORTRAITS
from local.stand_ins.faults import AnyFault
from tests.wire.providers import QWEN_MODEL, find_faces

PICTURE = codecs.data_url("image/png", (PORTRAITS / "astronaut.png").read_bytes())


@pytest.fixture
def ask(stand_ins):
    def call(**changes) -> dict:
        return find_faces(stand_ins.origin, **{"key": stand_ins.dashscope_key, "picture": PICTURE} | changes)

    return call


def test_find_faces_of_a_portrait_gets_its_face_and_its_price(ask):
    answer = ask()

    (face,) = read_boxes(answer["text"])
    assert 300 < (face.left + face.right) / 2 < 600
    assert face.top < face.bottom < 500
    assert answer["model"] == f"{QWEN_MODEL} (stand-in)"
    assert answer["input_tokens"] > 256 > answer["output_tokens"] > 0


def test_find_faces_sends_what_the_api_documents(ask, stand_ins):
    ask()

    (body,) = stand_ins.bodies
    (message,) = body.pop("messages")
    assert message == {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": PICTURE}},
            {"type": "text", "text": prompts.FIND_FACES},
        ],
    }
    assert body == {"model": QWEN_MODEL, "temperature": 0.1, "max_tokens": 4096, "enable_thinking": False}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "sk-wrong"}, "invalid_api_key: Incorrect API key"),
        ({"model": "qwen2.5-vl-72b"}, "model_not_found"),
        ({"picture": "https://pictures.example/x.png"}, "invalid_parameter_error"),
        ({"picture": "data:image/png;base64,!"}, "invalid_parameter_error"),
        ({"picture": codecs.data_url("image/png", b"GIF89a")}, "invalid_parameter_error"),
        ({"picture": "data:image/png;base64," + "A" * 10_000_001}, "10000000 are allowed"),
    ],
    ids=["key", "model", "url", "base64", "no picture", "too large"],
)
def test_find_faces_of_what_the_api_does_not_take_is_refused(ask, changes, words):
    with pytest.raises(ProviderRefused, match=words):
        ask(**changes)


#: HTTP status, code, words, and what it is for us. Source: the vendor's error pages and SDK, read 2026-11-20.
ERRORS = [
    (400, "InvalidParameter", "bad field", ProviderRefused),
    (400, "invalid_parameter_error", "bad field", ProviderRefused),
    (400, "DataInspectionFailed", "inappropriate", ContentRefused),
    (400, "data_inspection_failed", "inappropriate", ContentRefused),
    (400, "IPInfringementSuspect", "a brand", ContentRefused),
    (400, "FaqRuleBlocked", "a rule", ContentRefused),
    (400, "CustomRoleBlocked", "a role", ContentRefused),
    (400, "Arrearage", "overdue", ProviderRefused),
    (401, "InvalidApiKey", "wrong", ProviderRefused),
    (401, "invalid_api_key", "wrong", ProviderRefused),
    (403, "AccessDenied", "no right", ProviderRefused),
    (403, "access_denied", "no right", ProviderRefused),
    (403, "AccessDenied.Unpurchased", "not bought", ProviderRefused),
    (403, "Model.AccessDenied", "no right", ProviderRefused),
    (404, "ModelNotFound", "none", ProviderRefused),
    (404, "Model.NotExist", "none", ProviderRefused),
    (408, "RequestTimeOut", "slow", ProviderUnavailable),
    (429, "Throttling", "too many", ProviderThrottled),
    (429, "Throttling.RateQuota", "requests rate limit exceeded", ProviderThrottled),
    (429, "limit_requests", "too many", ProviderThrottled),
    (429, "Throttling.BurstRate", "too fast", ProviderThrottled),
    (429, "limit_burst_rate", "too fast", ProviderThrottled),
    (
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit",
        ProviderThrottled,
    ),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded", ProviderRefused),
    (429, "insufficient_quota", "check your plan and billing details", ProviderRefused),
    (500, "InternalError", "sorry", ProviderUnavailable),
    (500, "InternalError.Algo", "sorry", ProviderUnavailable),
    (500, "InternalError.Timeout", "sorry", ProviderUnavailable),
    (500, "SystemError", "sorry", ProviderUnavailable),
    (500, "ModelServiceFailed", "sorry", ProviderUnavailable),
    (500, "RequestTimeOut", "sorry", ProviderUnavailable),
    (502, "", "sorry", ProviderUnavailable),
    (503, "ModelServingError", "throttled due to system capacity", ProviderUnavailable),
    (503, "ModelUnavailable", "sorry", ProviderUnavailable),
    (504, "", "sorry", ProviderUnavailable),
]


@pytest.mark.parametrize(("status", "code", "words", "error"), ERRORS)
def test_find_faces_refused_by_the_api_is_the_error_that_its_code_means(ask, stand_ins, status, code, words, error):
    stand_ins.fault("dashscope", kind="status", status=status, code=code, message=words)
    with pytest.raises(error, match=f"{code}: {words}" if code else words) as caught:
        ask()
    assert caught.type is error
    assert stand_ins.calls() == {"dashscope": 1}


def test_find_faces_limited_with_a_time_to_wait_is_throttled_at_once(ask, stand_ins):
    stand_ins.fault("dashscope", kind="status", status=429, code="limit_requests", headers={"Retry-After": "20"})
    with pytest.raises(ProviderThrottled, match="limit_requests"):
        ask()
    assert stand_ins.calls() == {"dashscope": 1}


#: Faults that are not refusals, and what each is for us.
FAULTS = [
    ({"kind": "truncated"}, MaybePaid),
    ({"kind": "reset"}, MaybePaid),
    ({"kind": "none", "wait_s": 1.0}, ProviderTimedOut),
    ({"kind": "text", "text": " "}, ProviderAnswerInvalid),
    ({"kind": "body", "text": ""}, ProviderAnswerInvalid),
    ({"kind": "body", "text": "<html>"}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"choices": [{"message": '}, ProviderAnswerInvalid),
    ({"kind": "body", "text": "[]"}, ProviderAnswerInvalid),
    ({"kind": "body", "text": "{}"}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"choices": []}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"choices": {"0": 1}}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"choices": [{"message": {"content": 7}}]}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"code": "DataInspectionFailed", "message": "no"}'}, ContentRefused),
    ({"kind": "body", "text": '{"code": "Throttling.RateQuota", "message": "no"}'}, ProviderThrottled),
    ({"kind": "body", "text": '{"code": "InternalError", "message": "no"}'}, ProviderUnavailable),
    ({"kind": "body", "text": '{"code": "InvalidApiKey", "message": "no"}'}, ProviderRefused),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_find_faces_of_a_faulty_answer_is_the_error_that_it_means(ask, stand_ins, fault, error):
    stand_ins.fault("dashscope", **fault)
    with pytest.raises(error) as caught:
        ask(limit_s=0.5 if fault["kind"] == "none" else 20.0)
    assert caught.type is error
    assert stand_ins.calls() == {"dashscope": 1}


def test_find_faces_answered_within_its_limit_gets_the_answer(ask, stand_ins):
    stand_ins.fault("dashscope", kind="none", wait_s=0.5)

    assert read_boxes(ask(limit_s=10.0)["text"])


def test_find_faces_of_a_cut_off_message_keeps_the_words(ask, stand_ins):
    words = '```json\n{"faces": [{"bbox_2d": [12, '
    stand_ins.fault("dashscope", kind="text", text=words)

    assert ask()["text"] == words


@pytest.mark.parametrize("usage", [None, 7, [], {"prompt_tokens": "many", "completion_tokens": None}])
def test_find_faces_of_an_answer_without_a_bill_keeps_the_words(ask, stand_ins, usage):
    answer = {"choices": [{"message": {"content": "words"}}], "usage": usage}
    stand_ins.fault("dashscope", kind="body", text=json.dumps(answer))

    assert ask() == {"text": "words", "model": QWEN_MODEL, "input_tokens": 0, "output_tokens": 0}


def test_every_kind_of_fault_is_in_the_tables():
    known = set(get_args(AnyFault))
    assert {fault["kind"] for fault, _ in FAULTS} | {"status"} == known - {"expired", "images"}
