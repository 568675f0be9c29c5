"""The mask asset service's client against a service that fails in every way."""

import pytest
import trustme

from backlot.errors import MasksNotDelivered
from backlot.providers.mask_assets import MAX_ANSWER_BYTES, MaskAssets, MaskFile
from tests.wire.conftest import certificate, trust
from tests.wire.hosts import Peer, answer

NAME = "masks.example"
FILES = [MaskFile("j_upper_body_mask.png", b"\x89PNG" + b"x" * 50_000), MaskFile("j_seg_map.png", b"\x89PNG")]
TAKEN = b'{"status": "success", "stored_keys": {"upper_body_mask": "u/j/upper"}}'


def takes(reply: bytes):
    """Read the whole delivery before answering it."""

    def script(peer: Peer) -> None:
        peer.read_body()
        peer.send(reply)

    return script


@pytest.fixture
def send(internet):
    def send(script, *, limit_s: float = 5, tls=None, name: str = NAME):
        host = internet.host(script, NAME, tls=tls)
        url = f"https://{name}:{host.port}/v1/mask/upload"
        service = MaskAssets(url=url, limit_s=limit_s, verify=trust())
        return service.send(secret="s3cret", user_id="u", job_id="j", files=FILES)

    return send


def test_delivery_is_taken(internet, send):
    assert send(takes(answer(TAKEN))) == {"upper_body_mask": "u/j/upper"}
    assert internet.hosts[-1].paths == ["/v1/mask/upload"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (takes(answer(b"{}", status=500)), "HTTP 500"),
        (takes(answer(b"{}", status=401)), "HTTP 401"),
        (takes(answer(b"<html>")), "HTTP 200 without JSON"),
        (takes(answer(TAKEN)[:-10]), "peer closed connection"),
        (lambda peer: peer.reset(), ".+"),
        (takes(b"hello\r\n\r\n"), ".+"),
        (takes(answer(b"x" * (MAX_ANSWER_BYTES + 1))), "more than 100000 bytes"),
    ],
    ids=["500", "401", "no JSON", "cut off", "reset", "no HTTP", "endless"],
)
def test_delivery_that_fails_says_how(send, script, words):
    with pytest.raises(MasksNotDelivered, match=words):
        send(script)


@pytest.mark.parametrize(
    "script",
    [lambda peer: peer.fall_silent(), lambda peer: (peer.read_body(), peer.drip(answer(TAKEN) + b"x", 0.02))],
    ids=["silent", "dripping"],
)
def test_delivery_to_a_slow_service_is_given_up(send, script):
    with pytest.raises(MasksNotDelivered, match=r"no answer within 0\.4 s"):
        send(script, limit_s=0.4)


@pytest.mark.parametrize(
    "tls",
    [certificate("other.example"), certificate(NAME, trustme.CA())],
    ids=["another name", "an authority that nobody knows"],
)
def test_delivery_to_a_service_with_a_wrong_certificate_is_not_sent(internet, send, tls):
    with pytest.raises(MasksNotDelivered, match="CERTIFICATE_VERIFY_FAILED"):
        send(takes(answer(TAKEN)), tls=tls)
    assert internet.hosts[-1].paths == []


def test_delivery_does_not_follow_to_elsewhere(send):
    with pytest.raises(MasksNotDelivered, match="HTTP 302 without JSON"):
        send(takes(answer(status=302, Location="https://elsewhere.example/")))
