"""Redirects: followed a few times, checked every time."""

import pytest

from backlot.errors import ImageNotFetched, ImageUrlRefused
from backlot.providers.fetch import MAX_REDIRECTS
from tests.wire.conftest import OTHER, PRIVATE
from tests.wire.hosts import Peer, answer, goes_to, says
from tests.wire.pictures import PNG


def after(redirects: int):
    """Return the script that redirects so many times before it gives the picture."""
    left = [redirects]

    def step(peer: Peer) -> None:
        left[0] -= 1
        peer.send(answer(PNG) if left[0] < 0 else answer(status=302, Location=f"/{left[0]}"))

    return step


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fetch_of_a_redirect_gets_the_picture_where_it_is(internet, status):
    other = internet.host(says(answer(PNG)), "other.example", address=OTHER)
    host = internet.host(goes_to(f"https://other.example:{other.port}/moved?to=here#part", status=status))

    assert internet.get("/picture") == PNG
    assert (host.paths, other.paths) == (["/picture"], ["/moved?to=here"])
    assert f"Host: other.example:{other.port}".encode() in other.heads[0]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/rooted", "/rooted"),
        ("beside?size=2", "/a/beside?size=2"),
        ("../above", "/above"),
        ("?only=query", "/a/picture?only=query"),
        ("/café", "/caf%C3%A9"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/a space", "/a%20space"),
    ],
)
def test_fetch_of_a_relative_redirect_joins_it(internet, location, path):
    def redirect_once(peer: Peer) -> None:
        peer.send(answer(PNG) if b"/a/picture HTTP" not in peer.head else answer(status=302, Location=location))

    def redirect_to_query(peer: Peer) -> None:
        peer.send(answer(PNG) if b"?only" in peer.head else answer(status=302, Location=location))

    host = internet.host(redirect_to_query if location.startswith("?") else redirect_once)

    assert internet.get("/a/picture") == PNG
    assert host.paths == ["/a/picture", path]


def test_fetch_of_a_redirect_in_latin_1_reads_it_as_that(internet):
    def redirect(peer: Peer) -> None:
        found = b"/caf" in peer.head
        peer.send(answer(PNG) if found else b"HTTP/1.1 302 Found\r\nLocation: /caf\xe9\r\nContent-Length: 0\r\n\r\n")

    host = internet.host(redirect)

    assert internet.get("/picture") == PNG
    assert host.paths[1] == "/caf%C3%A9"


def test_fetch_of_a_redirect_without_a_scheme_keeps_https(internet):
    other = internet.host(says(answer(PNG)), "other.example", address=OTHER)
    internet.host(goes_to(f"//other.example:{other.port}/x"))

    assert internet.get("/picture") == PNG


def test_fetch_through_as_many_redirects_as_allowed_gets_the_picture(internet):
    assert internet.serve(after(MAX_REDIRECTS)) == PNG


def test_fetch_through_one_redirect_more_than_allowed_is_not_fetched(internet):
    with pytest.raises(ImageNotFetched, match=f"redirected more than {MAX_REDIRECTS} times"):
        internet.serve(after(MAX_REDIRECTS + 1))


def test_fetch_of_a_loop_ends(internet):
    host = internet.host(goes_to("/b", "/a"))
    with pytest.raises(ImageNotFetched, match="redirected more than"):
        internet.get("/a")
    assert host.connections == MAX_REDIRECTS + 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fetch_of_a_redirect_to_nowhere_is_not_fetched(internet, status):
    with pytest.raises(ImageNotFetched, match=f"HTTP {status} without a place to go"):
        internet.serve(says(answer(status=status)))


@pytest.mark.parametrize("status", [300, 304, 305])
def test_fetch_of_another_status_with_a_location_does_not_follow_it(internet, status):
    host = internet.host(goes_to("/elsewhere", status=status))
    with pytest.raises(ImageNotFetched, match=f"HTTP {status}"):
        internet.get("/picture")
    assert host.connections == 1


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:{port}/",
        "https://2130706433:{port}/",
        "https://0x7f.1:{port}/",
        "https://localhost:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://[fe80::1%25lo]:{port}/",
        "https://inside.example:{port}/",
        "https://user:word@pictures.example:{port}/",
        "http://pictures.example:{port}/",
        "//127.0.0.1:{port}/",
    ],
)
def test_fetch_of_a_redirect_to_what_is_not_public_is_refused_and_connects_nowhere(internet, location):
    inside = internet.plain_host(says(answer(PNG)), "inside.example", address=PRIVATE, listed=False)
    host = internet.host(goes_to(location.format(port=inside.port)))
    with pytest.raises(ImageUrlRefused):
        internet.get("/picture")
    assert (host.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize(
    "location",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/meta-data/",
        "ftp://pictures.example/x.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "gopher://pictures.example/x",
        "s3://assets/images/x.png",
        "s3://foreign/images/x.png",
        "https://[::1",
        "https://pictures.example:99999/",
        "https://pictures.example:x/",
        "/back\\slash",
        "/" + "x" * 8200,
    ],
)
def test_fetch_of_a_redirect_to_what_is_no_web_address_is_refused(internet, location):
    host = internet.host(goes_to(location))
    with pytest.raises(ImageUrlRefused):
        internet.get("/picture")
    assert host.connections == 1


def test_fetch_of_a_redirect_to_a_listed_host_follows_it_in_plain_text(internet):
    listed = internet.plain_host(says(answer(PNG)), "listed.example")
    internet.host(goes_to(f"http://listed.example:{listed.port}/x"))

    assert internet.get("/picture") == PNG


def test_fetch_of_a_redirect_does_not_wait_for_its_body(internet, hasty):
    other = internet.host(says(answer(PNG)), "other.example", address=OTHER)

    def redirect(peer: Peer) -> None:
        peer.send(answer(status=302, Location=f"https://other.example:{other.port}/", Content_Length="9000000"))
        peer.fall_silent()

    assert internet.serve(redirect) == PNG
