"""The sender of webhooks against receivers that lie, break and wait."""

import json

import pytest

from backlot.callbacks import WebhookFailed
from backlot.image_urls import ImageUrlPolicy
from backlot.providers import webhooks
from tests.wire.conftest import PRIVATE, PUBLIC, trust
from tests.wire.hosts import Peer, Script, answer

NAME = "studio.example"
BODY = json.dumps({"type": "task.completed", "words": "ä" * 5000}).encode()


def takes(reply: bytes) -> Script:
    """Read the whole message before answering it."""

    def script(peer: Peer) -> None:
        peer.read_body()
        peer.send(reply)

    return script


@pytest.fixture
def post(internet):
    def post(url: str = "/hook", **headers: str) -> int:
        if url.startswith("/"):
            url = f"https://{NAME}:{internet.hosts[-1].port}{url}"
        poster = webhooks.WebhookPoster(ImageUrlPolicy(), verify=trust())
        return poster.post(url, BODY, {"webhook-id": "msg_1", **headers})

    return post


@pytest.mark.parametrize("status", [200, 204, 302, 404, 410, 503])
def test_post_tells_the_status_and_follows_nothing(internet, post, status):
    host = internet.host(takes(answer(status=status, Location="/elsewhere")), NAME)

    assert post() == status
    assert host.paths == ["/hook"]


def test_post_sends_the_message_as_it_was_signed(internet, post):
    got = []
    host = internet.host(lambda peer: (got.append(peer.read_body()), peer.send(answer(status=204))), NAME)
    post()

    assert got == [BODY]
    head = host.heads[0].lower()
    assert head.startswith(b"post /hook http/1.1\r\n")
    assert b"webhook-id: msg_1" in head
    assert f"host: {NAME}:{host.port}".encode() in head


@pytest.mark.parametrize("addresses", [[PRIVATE], [PUBLIC, PRIVATE], [PUBLIC, "169.254.169.254"], ["::1"]], ids=str)
def test_post_to_an_address_that_is_not_public_is_refused_for_good(internet, post, addresses):
    inside = internet.host(takes(answer(status=204)), NAME, address=PRIVATE)
    internet.name(NAME, addresses)

    with pytest.raises(WebhookFailed, match="not public") as failed:
        post()
    assert failed.value.is_final
    assert inside.connections == 0


def test_post_to_a_name_that_resolves_differently_the_second_time_goes_to_the_checked_address(internet, post):
    inside = internet.host(takes(answer(status=500)), NAME, address=PRIVATE)
    internet.host(takes(answer(status=204)), NAME, address=PUBLIC, port=inside.port)
    internet.name(NAME, [PUBLIC], [PRIVATE])

    assert post() == 204
    assert inside.connections == 0


@pytest.mark.parametrize("url", ["http://studio.example/hook", "s3://bucket/key", "https://127.0.0.1/hook"])
def test_post_to_a_url_that_must_not_be_called_is_refused_for_good(post, url):
    with pytest.raises(WebhookFailed, match="refused") as failed:
        post(url)
    assert failed.value.is_final


@pytest.mark.parametrize(
    "script",
    [lambda peer: peer.reset(), lambda peer: peer.send(b"no http\r\n\r\n"), lambda peer: peer.send(b"")],
    ids=["reset", "no http", "closed"],
)
def test_post_whose_connection_breaks_is_tried_again(internet, post, script):
    internet.host(script, NAME)

    with pytest.raises(WebhookFailed, match="the connection failed") as failed:
        post()
    assert not failed.value.is_final


@pytest.mark.parametrize(
    ("script", "words"),
    [(lambda peer: peer.fall_silent(), "no answer within 0.3 s"), (lambda peer: peer.drip(b"H" * 12, 0.1), "0.7 s")],
    ids=["silent", "dripping"],
)
def test_post_to_a_slow_receiver_is_given_up_and_tried_again(internet, post, monkeypatch, script, words):
    monkeypatch.setattr(webhooks, "IDLE_S", 0.3)
    monkeypatch.setattr(webhooks, "TOTAL_S", 0.7)
    internet.host(script, NAME)

    with pytest.raises(WebhookFailed, match=words) as failed:
        post()
    assert not failed.value.is_final
