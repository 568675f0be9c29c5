"""Names and addresses: what is connected to is what was checked."""

import socket

import pytest

from backlot.errors import ImageHostUnavailable, ImageNotFetched, ImageUrlRefused
from tests.wire.conftest import OTHER, PRIVATE, PUBLIC
from tests.wire.hosts import answer, says
from tests.wire.pictures import PNG

NAME = "pictures.example"


def test_fetch_of_a_name_that_resolves_differently_the_second_time_connects_to_the_checked_address(internet):
    inside = internet.host(says(answer(PNG + b"inside")), NAME, address=PRIVATE)
    outside = internet.host(says(answer(PNG)), NAME, address=PUBLIC, port=inside.port)
    internet.name(NAME, [PUBLIC], [PRIVATE])

    assert internet.get("/picture") == PNG
    assert (outside.connections, inside.connections) == (1, 0)


def test_fetch_of_a_redirect_to_the_same_name_checks_its_address_again(internet):
    inside = internet.host(says(answer(PNG)), NAME, address=PRIVATE)
    outside = internet.host(says(answer(status=302, Location="/again")), NAME, address=PUBLIC, port=inside.port)
    internet.name(NAME, [PUBLIC], [PRIVATE])

    with pytest.raises(ImageUrlRefused, match="resolves to an address that is not public"):
        internet.get("/picture")
    assert (outside.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize(
    "addresses",
    [
        [PRIVATE],
        [PUBLIC, PRIVATE],
        [PRIVATE, PUBLIC],
        [PUBLIC, "::1"],
        [PUBLIC, "10.0.0.1"],
        [PUBLIC, "169.254.169.254"],
        [PUBLIC, "::ffff:10.0.0.1"],
        [PUBLIC, "64:ff9b::a00:1"],
        [PUBLIC, "fe80::1"],
        [PUBLIC, "100.64.0.1"],
        [PUBLIC, "0.0.0.0"],
    ],
    ids=" ".join,
)
def test_fetch_of_a_name_with_an_address_that_is_not_public_is_refused_and_connects_nowhere(internet, addresses):
    inside = internet.host(says(answer(PNG)), NAME, address=PRIVATE)
    outside = internet.host(says(answer(PNG)), NAME, address=PUBLIC, port=inside.port)
    internet.name(NAME, addresses)

    with pytest.raises(ImageUrlRefused, match=r"pictures\.example resolves to an address that is not public"):
        internet.get("/picture")
    assert (outside.connections, inside.connections) == (0, 0)


def test_fetch_of_a_name_whose_first_address_is_dead_uses_the_next(internet):
    internet.host(says(answer(PNG)), NAME, address=OTHER)
    internet.name(NAME, [PUBLIC, OTHER])

    assert internet.get("/picture") == PNG


def test_fetch_of_a_name_whose_addresses_are_all_dead_says_so(internet):
    gone = internet.host(says(answer(PNG)), NAME, address=OTHER)
    gone.close()
    internet.name(NAME, [PUBLIC, OTHER])

    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.get(f"https://{NAME}:{gone.port}/picture")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (socket.EAI_NONAME, ImageNotFetched),
        (socket.EAI_NODATA, ImageNotFetched),
        (socket.EAI_FAIL, ImageNotFetched),
        (socket.EAI_AGAIN, ImageHostUnavailable),
        (socket.EAI_MEMORY, ImageHostUnavailable),
        (socket.EAI_SYSTEM, ImageHostUnavailable),
    ],
)
def test_fetch_of_a_name_without_an_answer_is_retried_only_if_the_resolver_failed(internet, code, error):
    internet.name(NAME, socket.gaierror(code, "resolver"))
    with pytest.raises(error, match=f"the name {NAME} cannot be resolved"):
        internet.get(f"https://{NAME}/picture")


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 64}.example", ".b.example"])
def test_fetch_of_a_name_that_cannot_exist_fails_without_a_lookup(internet, host):
    with pytest.raises((ImageNotFetched, ImageUrlRefused)):
        internet.get(f"https://{host}/picture")


def test_fetch_of_a_name_in_other_letters_asks_for_its_ascii_form(internet):
    host = internet.host(says(answer(PNG)), "xn--bcher-kva.example")

    assert internet.get(f"https://bücher.example:{host.port}/picture") == PNG
    assert f"Host: xn--bcher-kva.example:{host.port}".encode() in host.heads[0]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]", "[::]"]
)
def test_fetch_of_an_address_of_this_machine_is_refused_in_every_notation(internet, host):
    inside = internet.plain_host(says(answer(PNG)), "inside.example", listed=False)
    with pytest.raises(ImageUrlRefused, match="is not a public address"):
        internet.get(f"https://{host}:{inside.port}/")
    assert inside.connections == 0


@pytest.mark.parametrize("host", ["[fe80::1%25lo]", "[fe80::1%lo]", "[::1%25lo]", "[fe80::1%25]"])
def test_fetch_of_an_address_with_a_zone_is_refused(internet, host):
    with pytest.raises(ImageUrlRefused):
        internet.get(f"https://{host}/")


@pytest.mark.parametrize("user", ["user@", "user:word@", ":@", "pictures.example:443@"])
def test_fetch_of_a_url_with_a_user_is_refused_and_connects_nowhere(internet, user):
    host = internet.host(says(answer(PNG)))
    with pytest.raises(ImageUrlRefused, match="user name or password"):
        internet.get(f"https://{user}pictures.example:{host.port}/")
    assert host.connections == 0


def test_fetch_by_plain_http_of_a_host_that_is_not_listed_is_refused_and_connects_nowhere(internet):
    host = internet.plain_host(says(answer(PNG)), NAME, address=PUBLIC, listed=False)
    with pytest.raises(ImageUrlRefused, match="plain http is not allowed"):
        internet.get(f"http://{NAME}:{host.port}/")
    assert host.connections == 0


def test_fetch_by_plain_http_of_a_listed_host_gets_the_picture_from_a_private_address(internet):
    host = internet.plain_host(says(answer(PNG)), "listed.example", address=PRIVATE)

    assert internet.get(f"http://listed.example:{host.port}/a/b?c=d") == PNG
    assert host.paths == ["/a/b?c=d"]


def test_fetch_of_another_port_of_a_listed_host_is_refused(internet):
    internet.plain_host(says(answer(PNG)), "listed.example")
    other = internet.plain_host(says(answer(PNG)), "listed.example", listed=False)

    with pytest.raises(ImageUrlRefused, match="plain http is not allowed"):
        internet.get(f"http://listed.example:{other.port}/")
    with pytest.raises(ImageUrlRefused, match="resolves to an address that is not public"):
        internet.get(f"https://listed.example:{other.port}/")
    assert other.connections == 0


def test_fetch_from_an_address_of_ipv6_works(internet):
    host = internet.plain_host(says(answer(PNG)), "::1", address="::1")

    assert internet.get(f"http://[::1]:{host.port}/x") == PNG
    assert f"Host: [::1]:{host.port}".encode() in host.heads[0]


def test_fetch_says_who_it_is_and_sends_nothing_else(internet):
    host = internet.host(says(answer(PNG)))
    internet.get("/picture")

    names = {line.split(b":")[0] for line in host.heads[0].split(b"\r\n")[1:]}
    assert names == {b"Host", b"User-Agent", b"Accept", b"Accept-Encoding", b"Connection"}
