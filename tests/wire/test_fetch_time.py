"""Slow hosts: the whole fetch has one limit, whatever is sent slowly."""

import time

import pytest

from backlot.errors import ImageHostUnavailable
from tests.wire.conftest import PUBLIC
from tests.wire.hosts import Host, Peer, answer, says
from tests.wire.pictures import PNG

pytestmark = pytest.mark.usefixtures("hasty")

#: A fetch that lasts 0.7 s must be over by then; the margin is for a busy machine.
OVER_S = 1.6


def drips(before: bytes, every: bytes, every_s: float = 0.05):
    """Return the script that sends a beginning and then the same small piece for ever."""

    def script(peer: Peer) -> None:
        peer.send(before)
        peer.send_forever(every, every_s)

    return script


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        drips(b"H", b"T"),
        drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"y"),
        drips(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        drips(answer(PNG, Content_Length="1000000"), b"\0"),
        drips(answer(PNG, Content_Length=""), b"\0"),
        drips(CHUNKED, b"1\r\n\0\r\n"),
        drips(CHUNKED + b"5;extension=", b"x"),
        drips(CHUNKED + b"0\r\nTrailer: ", b"x"),
        drips(CHUNKED + b"000", b"0"),
    ],
    ids=[
        "status line",
        "header",
        "headers",
        "100s",
        "103s",
        "body",
        "body without a length",
        "chunks",
        "chunk extension",
        "trailer",
        "chunk size",
    ],
)
def test_fetch_from_a_host_that_drips_ends_at_the_limit(internet, script):
    began = time.monotonic()
    with pytest.raises(ImageHostUnavailable):
        internet.serve(script)
    assert time.monotonic() - began < OVER_S


def test_fetch_of_a_body_that_drips_says_that_it_was_not_complete(internet):
    with pytest.raises(ImageHostUnavailable, match=r"not complete after 0\.7 s"):
        internet.serve(drips(answer(PNG, Content_Length="1000000"), b"\0"))


def test_fetch_of_a_picture_that_comes_slowly_but_in_time_gets_it(internet):
    def script(peer: Peer) -> None:
        peer.send(answer(status=200, Content_Length=str(len(PNG))))
        for part in (PNG[:20], PNG[20:40], PNG[40:]):
            time.sleep(0.1)
            peer.send(part)

    assert internet.serve(script) == PNG


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n", answer(PNG[:9], Content_Length="99")])
def test_fetch_from_a_host_that_falls_silent_is_unavailable_before_the_limit(internet, before):
    def script(peer: Peer) -> None:
        peer.send(before)
        peer.fall_silent()

    began = time.monotonic()
    with pytest.raises(ImageHostUnavailable, match=r"no answer within 0\.3 s"):
        internet.serve(script)
    assert 0.3 <= time.monotonic() - began < 0.65


def test_fetch_through_slow_redirects_has_one_limit_for_all(internet):
    def script(peer: Peer) -> None:
        time.sleep(0.2)
        peer.send(answer(status=302, Location="/again"))

    began = time.monotonic()
    with pytest.raises(ImageHostUnavailable, match=r"not complete after 0\.7 s"):
        internet.serve(script)
    assert time.monotonic() - began < OVER_S


def test_fetch_from_a_host_that_never_answers_the_handshake_is_unavailable(internet):
    host = Host(lambda peer: peer.fall_silent(), address=PUBLIC, reads_head=False)
    internet.name("pictures.example", [PUBLIC])
    began = time.monotonic()
    with pytest.raises(ImageHostUnavailable, match=r"no answer within 0\.3 s"):
        internet.get(f"https://pictures.example:{host.port}/")
    assert time.monotonic() - began < OVER_S
    host.close()


def test_fetch_from_a_host_that_drips_the_handshake_is_unavailable(internet):
    host = Host(lambda peer: peer.send_forever(b"\x16", 0.05), address=PUBLIC, reads_head=False)
    internet.name("pictures.example", [PUBLIC])
    began = time.monotonic()
    with pytest.raises(ImageHostUnavailable):
        internet.get(f"https://pictures.example:{host.port}/")
    assert time.monotonic() - began < OVER_S
    host.close()


def test_fetch_without_time_left_connects_nowhere(internet, monkeypatch):
    monkeypatch.setattr("backlot.providers.fetch.TOTAL_S", 0.0)
    host = internet.host(says(answer(PNG)))
    with pytest.raises(ImageHostUnavailable, match="not complete after 0 s"):
        internet.get("/picture")
    assert host.connections == 0
