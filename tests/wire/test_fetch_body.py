"""Bodies: limited in bytes and pixels while they arrive, complete as HTTP says, and looked at rather than believed."""

import gzip
import zlib

import pytest

from backlot.errors import ImageHostUnavailable, ImageTooLarge, ImageUnreadable
from backlot.images.codecs import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from tests.wire.hosts import Peer, answer, says
from tests.wire.pictures import PNG, claiming, of_bytes


def chunked(body: bytes, size: int = 60_000) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


@pytest.mark.parametrize("form", [answer, chunked, lambda body: answer(body, Content_Length="")])
def test_fetch_of_as_many_bytes_as_allowed_gets_them(internet, form):
    assert len(internet.serve(says(form(of_bytes(MAX_IMAGE_BYTES))))) == MAX_IMAGE_BYTES == 20_000_000


@pytest.mark.parametrize("form", [chunked, lambda body: answer(body, Content_Length="")])
def test_fetch_of_one_byte_more_than_allowed_is_too_large(internet, form):
    with pytest.raises(ImageTooLarge, match="it has more than 20000000 bytes"):
        internet.serve(says(form(of_bytes(MAX_IMAGE_BYTES + 1))))


def test_fetch_of_a_body_announced_as_too_large_is_refused_before_it_comes(internet, hasty):
    def script(peer: Peer) -> None:
        peer.send(answer(Content_Length=str(MAX_IMAGE_BYTES + 1)))
        peer.fall_silent()

    with pytest.raises(ImageTooLarge, match="it has 20000001 bytes, 20000000 are allowed"):
        internet.serve(script)


def test_fetch_of_a_body_without_end_is_too_large(internet):
    def script(peer: Peer) -> None:
        peer.send(answer(PNG, Content_Length=""))
        peer.send_forever(bytes(1_000_000))

    with pytest.raises(ImageTooLarge, match="it has more than 20000000 bytes"):
        internet.serve(script)


def test_fetch_with_a_larger_limit_takes_more(internet):
    body = of_bytes(MAX_IMAGE_BYTES + 1)

    assert internet.serve(says(answer(body)), max_bytes=MAX_IMAGE_BYTES + 1) == body


def test_fetch_of_as_many_pixels_as_allowed_gets_them(internet):
    body = claiming(10_000, MAX_IMAGE_PIXELS // 10_000)

    assert internet.serve(says(answer(body))) == body


def test_fetch_of_more_pixels_than_allowed_is_too_large(internet):
    with pytest.raises(ImageTooLarge, match="it has 10000x5001 pixels, 50000000 are allowed"):
        internet.serve(says(answer(claiming(10_000, MAX_IMAGE_PIXELS // 10_000 + 1))))


def test_fetch_of_more_pixels_than_allowed_ends_as_soon_as_they_are_known(internet, hasty):
    def script(peer: Peer) -> None:
        peer.send(answer(claiming(30_000, 30_000) + bytes(8000), Content_Length="9000000"))
        peer.fall_silent()

    with pytest.raises(ImageTooLarge, match="it has 30000x30000 pixels"):
        internet.serve(script)


def test_fetch_of_a_body_shorter_than_announced_is_unavailable(internet):
    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(says(answer(PNG, Content_Length=str(len(PNG) + 1))))


def test_fetch_of_a_body_longer_than_announced_takes_what_was_announced(internet):
    assert internet.serve(says(answer(PNG + b"more", Content_Length=str(len(PNG))))) == PNG


def test_fetch_of_a_body_that_is_reset_is_unavailable(internet):
    def script(peer: Peer) -> None:
        peer.send(answer(PNG[:40], Content_Length=str(len(PNG))))
        peer.reset()

    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(script)


@pytest.mark.parametrize("length", ["-1", "1x", "²", "9" * 30, "5, 6", "0x20", " "])
def test_fetch_of_a_body_with_an_impossible_length_is_unavailable(internet, length):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + length.encode("latin-1") + b"\r\n\r\n"
    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(says(head + PNG))


@pytest.mark.parametrize(
    "coded",
    [
        b"zz\r\nabc\r\n",
        b"-5\r\nabc\r\n",
        b"5\r\nabcdefgh\r\n",
        b"5;" + b"x" * 300_000,
        b"f" * 40 + b"\r\nabc",
        b"\r\n\r\n",
    ],
    ids=["no number", "negative", "longer than said", "extension without end", "size without end", "no size"],
)
def test_fetch_of_chunks_that_are_garbage_is_unavailable(internet, coded):
    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded))


def test_fetch_of_chunks_without_their_end_is_unavailable(internet):
    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(says(chunked(PNG).removesuffix(b"0\r\n\r\n")))


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
        b"",
    ],
    ids=["ssh", "status", "upgrade", "header", "two lengths", "coding", "long header", "many headers", "nothing"],
)
def test_fetch_of_what_is_no_answer_is_unavailable(internet, head):
    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(says(head))


def test_fetch_of_headers_without_end_is_unavailable(internet):
    def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n")
        peer.send_forever(b"X-More: and more\r\n" * 100)

    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.serve(script)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(PNG)),
        ("gzip", gzip.compress(bytes(50_000_000))),
        ("deflate", zlib.compress(PNG)),
        ("br", PNG),
        ("identity, gzip", PNG),
        ("x-unheard-of", PNG),
    ],
    ids=["gzip", "bomb", "deflate", "brotli", "two", "unknown"],
)
def test_fetch_of_a_compressed_body_is_refused_without_unpacking_it(internet, coding, body):
    with pytest.raises(ImageUnreadable, match="compressed it although it was asked not to"):
        internet.serve(says(answer(body, Content_Encoding=coding)))


def test_fetch_of_a_bomb_that_hides_its_coding_is_unreadable(internet):
    with pytest.raises(ImageUnreadable, match="its content is not JPEG"):
        internet.serve(says(answer(gzip.compress(bytes(50_000_000)))))


@pytest.mark.parametrize("kind", ["identity", "Identity"])
def test_fetch_of_a_body_said_to_be_plain_gets_it(internet, kind):
    assert internet.serve(says(answer(PNG, Content_Encoding=kind))) == PNG


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream", "image/jpeg", ""])
def test_fetch_of_a_picture_called_something_else_gets_it(internet, kind):
    assert internet.serve(says(answer(PNG, Content_Type=kind))) == PNG


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>log in</body></html>", "its content is not JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its content is not JPEG"),
        (b"<html>" + b"x" * 600_000, "its content is not JPEG"),
        (b"", "it is empty"),
    ],
    ids=["html", "svg", "much html", "nothing"],
)
def test_fetch_of_what_is_called_a_picture_and_is_none_is_unreadable(internet, body, words):
    with pytest.raises(ImageUnreadable, match=words):
        internet.serve(says(answer(body, Content_Type="image/jpeg")))
