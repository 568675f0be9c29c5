"""The wire under the paid APIs: where a call breaks decides whether something may have been bought."""

import gzip
import json
import time

import pytest

from backlot.errors import (
    MaybePaid,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
)
from backlot.providers.paid_api import MAX_ANSWER_BYTES
from tests.wire.conftest import certificate
from tests.wire.hosts import Host, Peer, answer, goes_to
from tests.wire.providers import CALLS, GOOD

#: More than the sockets' buffers take, so that a request is still being sent when its connection breaks.
LARGE = "A" * 30_000_000

#: For calls that nobody answers, and for the others.
LIMIT_S, AMPLE_S = 0.3, 10.0


@pytest.fixture(params=CALLS)
def provider(request) -> str:
    return request.param


@pytest.fixture
def ask(provider, host):
    """Call a provider whose host plays a script."""

    def call(script, *, key: str = "key-of-ours", picture: str = "AAAA", limit_s: float = AMPLE_S, **options) -> dict:
        served = host(script, **options)
        return CALLS[provider](f"http://127.0.0.1:{served.port}", key=key, picture=picture, limit_s=limit_s)

    return call


@pytest.fixture
def host():
    hosts: list[Host] = []

    def start(script, **options) -> Host:
        hosts.append(Host(script, **options))
        return hosts[-1]

    yield start
    for each in hosts:
        each.close()


def after_the_request(*actions):
    """Return the script that reads the whole request before it goes on."""

    def script(peer: Peer) -> None:
        peer.read_body()
        for action in actions:
            action(peer)

    return script


def send(data: bytes):
    return lambda peer: peer.send(data)


def reset(peer: Peer) -> None:
    peer.reset()


def fall_silent(peer: Peer) -> None:
    peer.fall_silent()


def drip(peer: Peer) -> None:
    peer.send_forever(b" ", 0.05)


def hang_up(_: Peer) -> None:
    pass


CUT = answer(b'{"choices": [', Content_Length="900")


def test_call_with_nobody_listening_bought_nothing(provider, host):
    gone = host(fall_silent)
    gone.close()
    with pytest.raises(ProviderUnavailable, match="no connection"):
        CALLS[provider](f"http://127.0.0.1:{gone.port}", limit_s=LIMIT_S)


@pytest.mark.parametrize("end", [reset, hang_up], ids=["reset", "closed"])
@pytest.mark.parametrize("reads_head", [False, True])
def test_call_whose_connection_breaks_while_it_is_sent_bought_nothing(ask, end, reads_head):
    with pytest.raises(ProviderUnavailable, match=r"no connection|broke before the request was sent"):
        ask(end, picture=LARGE, reads_head=reads_head)


def test_call_that_nobody_takes_bought_nothing(ask):
    with pytest.raises(ProviderUnavailable, match="no connection"):
        ask(fall_silent, picture=LARGE, limit_s=LIMIT_S)


def test_call_refused_while_it_is_sent_is_refused(ask):
    def script(peer: Peer) -> None:
        peer.send(answer(b'{"error": {"code": "TooLarge", "message": "too large"}}', 413))
        peer.read_body()

    with pytest.raises(ProviderRefused, match="TooLarge: too large"):
        ask(script, picture=LARGE)


@pytest.mark.parametrize(
    "end",
    [
        [reset],
        [hang_up],
        [send(b"HTTP/1.1 200 OK\r\nContent-"), reset],
        [send(CUT), reset],
        [send(CUT), hang_up],
        [send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\r\n")],
        [send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")],
        [send(b"SSH-2.0-OpenSSH_9.9\r\n")],
        [send(answer(b"no gzip", Content_Encoding="gzip"))],
    ],
    ids=[
        "reset",
        "closed",
        "reset in headers",
        "reset in body",
        "closed in body",
        "closed in chunks",
        "broken chunks",
        "no http",
        "no gzip",
    ],
)
def test_call_whose_answer_is_lost_may_be_paid(ask, end):
    with pytest.raises(MaybePaid, match="may have charged for a call whose answer was lost"):
        ask(after_the_request(*end))


@pytest.mark.parametrize(
    "end",
    [[fall_silent], [send(b"HTTP/1.1 200 OK\r\n"), fall_silent], [send(CUT), fall_silent], [send(CUT), drip]],
    ids=["silent", "silent in headers", "silent in body", "dripping body"],
)
def test_call_whose_answer_does_not_come_in_time_timed_out(ask, end):
    began = time.monotonic()
    with pytest.raises(ProviderTimedOut, match=r"did not answer within 0\.3 s"):
        ask(after_the_request(*end), limit_s=LIMIT_S)
    assert LIMIT_S <= time.monotonic() - began < 2 * LIMIT_S + 0.5


@pytest.mark.parametrize("end", [reset, hang_up, fall_silent, drip], ids=["reset", "closed", "silent", "dripping"])
@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ProviderRefused), (429, ProviderThrottled), (500, ProviderUnavailable), (503, ProviderUnavailable)],
)
def test_call_refused_with_a_body_that_is_lost_is_judged_by_its_status(ask, end, status, error):
    with pytest.raises(error, match="sorry"):
        ask(after_the_request(send(answer(b"sorry", status, Content_Length="900")), end), limit_s=LIMIT_S)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308])
def test_call_answered_by_another_status_is_refused_and_followed_nowhere(ask, host, status):
    other = host(fall_silent)
    script = goes_to(f"http://127.0.0.1:{other.port}/", status=status)
    with pytest.raises(ProviderRefused, match=f"HTTP {status}"):
        ask(after_the_request(script))
    assert other.connections == 0


@pytest.mark.parametrize("body", [b"null", b"[]", b'"Too many requests"', b"7", b"<html>busy</html>", b"", b"\xff"])
@pytest.mark.parametrize(
    ("status", "error"), [(404, ProviderRefused), (429, ProviderThrottled), (502, ProviderUnavailable)]
)
def test_call_refused_with_a_body_that_is_no_object_is_judged_by_its_status(ask, status, error, body):
    with pytest.raises(error):
        ask(after_the_request(send(answer(body, status))))


@pytest.mark.parametrize("body", [b'{"error": "no such key"}', b'"no such key"', b'{"message": "no such key"}'])
def test_call_refused_in_another_form_keeps_the_words(ask, body):
    with pytest.raises(ProviderRefused, match="no such key"):
        ask(after_the_request(send(answer(body, 401))))


def test_call_refused_with_its_key_in_the_words_does_not_repeat_it(ask):
    words = b'{"error": {"code": "invalid_api_key", "message": "Incorrect API key: sk-secret-7."}}'
    with pytest.raises(ProviderRefused, match=r"Incorrect API key: \(key\)\.") as caught:
        ask(after_the_request(send(answer(words, 401))), key="sk-secret-7")
    assert "sk-secret-7" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"data": ', b"\xff\xfe", b"[1]", b"null", b"[" * 100_000],
    ids=["empty", "html", "cut", "binary", "list", "null", "nested"],
)
def test_call_answered_by_what_is_no_object_is_invalid(ask, body):
    with pytest.raises(ProviderAnswerInvalid, match=r"it is not (JSON|a JSON object)$"):
        ask(after_the_request(send(answer(body))))


def padded(provider: str, size: int) -> bytes:
    body = json.dumps(GOOD[provider]).encode()
    return body + b" " * (size - len(body))


def test_call_answered_by_as_many_bytes_as_allowed_is_read(ask, provider):
    assert ask(after_the_request(send(answer(padded(provider, MAX_ANSWER_BYTES)))))["model"] == "model-1"


def test_call_answered_by_one_byte_more_is_invalid(ask, provider):
    with pytest.raises(ProviderAnswerInvalid, match=f"it has {MAX_ANSWER_BYTES + 1} bytes or more"):
        ask(after_the_request(send(answer(padded(provider, MAX_ANSWER_BYTES + 1)))))


@pytest.mark.parametrize(("status", "error"), [(200, ProviderAnswerInvalid), (500, ProviderUnavailable)])
def test_call_answered_without_end_is_given_up(ask, status, error):
    def script(peer: Peer) -> None:
        peer.send(answer(status=status, Content_Length=""))
        peer.send_forever(b"x" * 100_000)

    with pytest.raises(error):
        ask(after_the_request(script))


def test_call_answered_by_a_bomb_is_invalid(ask):
    bomb = gzip.compress(b" " * 20_000_000)
    with pytest.raises(ProviderAnswerInvalid, match="bytes or more"):
        ask(after_the_request(send(answer(bomb, Content_Encoding="gzip"))))


def test_call_answered_in_gzip_is_read(ask, provider):
    body = gzip.compress(json.dumps(GOOD[provider]).encode())

    assert ask(after_the_request(send(answer(body, Content_Encoding="gzip"))))["model"] == "model-1"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("Throttling.RateQuota", ProviderThrottled),
        ("limit_requests", ProviderThrottled),
        ("RateLimitExceeded.EndpointRPMExceeded", ProviderThrottled),
        ("ServerOverloaded", ProviderThrottled),
        ("InternalError.Algo", ProviderUnavailable),
        ("InternalServiceError", ProviderUnavailable),
        ("ModelServingError", ProviderUnavailable),
        ("RequestTimeOut", ProviderUnavailable),
        ("InvalidParameter", ProviderRefused),
        ("Arrearage", ProviderRefused),
        ("", ProviderRefused),
    ],
)
def test_call_answered_by_an_error_inside_a_success_is_judged_by_its_code(ask, code, error):
    body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    with pytest.raises(error, match="no"):
        ask(after_the_request(send(answer(body))))


def test_call_to_a_host_with_a_foreign_certificate_sends_nothing(provider, host):
    impostor = host(fall_silent, tls=certificate("127.0.0.1"))
    with pytest.raises(ProviderUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        CALLS[provider](f"https://127.0.0.1:{impostor.port}")
    assert impostor.heads == []


def test_call_ignores_proxies_of_the_environment(ask, provider, host, monkeypatch):
    proxy = host(fall_silent)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

    assert ask(after_the_request(send(answer(json.dumps(GOOD[provider]).encode()))))["model"] == "model-1"
    assert proxy.connections == 0


def test_calls_one_after_the_other_each_have_their_own_connection(provider, host):
    served = host(after_the_request(send(answer(json.dumps(GOOD[provider]).encode())), fall_silent))
    for _ in range(2):
        CALLS[provider](f"http://127.0.0.1:{served.port}")
    assert served.connections == 2
