"""Which webhooks are fal's."""

import base64
import hashlib

import httpx
import pytest
from nacl.signing import SigningKey

from backlot.errors import ProviderUnavailable
from backlot.providers.fal_signatures import ASK_AGAIN_MS, KEEP_KEYS_MS, WINDOW_MS, FalSignatures
from backlot.webhooks import SignatureRefused

NOW_MS = 1_800_000_000_000
BODY = b'{"request_id": "r", "status": "OK", "payload": {}}'


class Fal:
    """The publisher of the keys, and a clock."""

    def __init__(self) -> None:
        self.keys = [SigningKey.generate()]
        self.now_ms = NOW_MS
        self.asked = 0
        self.status = 200
        self.signatures = FalSignatures("https://fal.example/jwks.json", lambda: self.now_ms)
        self.signatures._http = httpx.Client(transport=httpx.MockTransport(self._publish))

    def _publish(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://fal.example/jwks.json"
        self.asked += 1
        entries = [{"kty": "RSA", "n": "x"}, {"kty": "OKP", "crv": "Ed25519", "x": "!"}, "no entry"]
        for key in self.keys:
            x = base64.urlsafe_b64encode(bytes(key.verify_key)).decode().rstrip("=")
            entries.append({"kty": "OKP", "crv": "Ed25519", "x": x})
        return httpx.Response(self.status, json={"keys": entries})

    def headers(self, *, at_ms: int | None = None, key: SigningKey | None = None, body: bytes = BODY) -> dict[str, str]:
        timestamp = str((self.now_ms if at_ms is None else at_ms) // 1000)
        message = "\n".join(["r", "u", timestamp, hashlib.sha256(body).hexdigest()]).encode()
        return {
            "X-Fal-Webhook-Request-Id": "r",
            "X-Fal-Webhook-User-Id": "u",
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": (key or self.keys[0]).sign(message).signature.hex(),
        }


@pytest.fixture
def fal() -> Fal:
    return Fal()


def test_webhook_of_fals_is_taken_and_named_by_its_signature(fal):
    headers = fal.headers()
    assert fal.signatures.verify(headers, BODY) == headers["X-Fal-Webhook-Signature"]


def test_names_of_headers_may_be_written_in_any_case_and_the_signature_too(fal):
    headers = {name.lower(): value for name, value in fal.headers().items()}
    headers["x-fal-webhook-signature"] = headers["x-fal-webhook-signature"].upper()
    assert fal.signatures.verify(headers, BODY) == headers["x-fal-webhook-signature"].lower()


@pytest.mark.parametrize("name", ["Request-Id", "User-Id", "Timestamp", "Signature"])
@pytest.mark.parametrize("change", ["changed", "missing", "empty"])
def test_webhook_with_a_changed_header_is_refused(fal, name, change):
    headers = fal.headers()
    value = headers.pop(f"X-Fal-Webhook-{name}")
    if change != "missing":
        other = value[:-1] + ("1" if value[-1] != "1" else "2")
        headers[f"X-Fal-Webhook-{name}"] = other if change == "changed" else ""
    with pytest.raises(SignatureRefused):
        fal.signatures.verify(headers, BODY)


@pytest.mark.parametrize("signature", ["zz", "ab", "ab" * 63, "ab" * 65, "\u0661" * 128])
def test_signature_that_is_none_is_refused(fal, signature):
    with pytest.raises(SignatureRefused):
        fal.signatures.verify(fal.headers() | {"X-Fal-Webhook-Signature": signature}, BODY)


def test_webhook_with_a_changed_body_is_refused(fal):
    with pytest.raises(SignatureRefused):
        fal.signatures.verify(fal.headers(), BODY + b" ")


@pytest.mark.parametrize("sign", [1, -1])
def test_time_is_held_to_its_window_on_both_sides(fal, sign):
    inside, outside = (NOW_MS + sign * (WINDOW_MS + more) for more in (0, 1000))
    fal.signatures.verify(fal.headers(at_ms=inside), BODY)
    with pytest.raises(SignatureRefused):
        fal.signatures.verify(fal.headers(at_ms=outside), BODY)


def test_keys_are_read_once_a_day(fal):
    fal.signatures.verify(fal.headers(), BODY)
    fal.now_ms += KEEP_KEYS_MS
    fal.signatures.verify(fal.headers(), BODY)
    assert fal.asked == 1
    fal.now_ms += 1
    fal.signatures.verify(fal.headers(), BODY)
    assert fal.asked == 2


def test_key_of_nobody_is_refused_and_makes_us_ask_no_more_than_once_a_minute(fal):
    stranger = SigningKey.generate()
    for _ in range(3):
        with pytest.raises(SignatureRefused):
            fal.signatures.verify(fal.headers(key=stranger), BODY)
    assert fal.asked == 1
    fal.now_ms += ASK_AGAIN_MS + 1
    for _ in range(3):
        with pytest.raises(SignatureRefused):
            fal.signatures.verify(fal.headers(key=stranger), BODY)
    assert fal.asked == 2


def test_new_key_is_found_after_a_rotation_and_the_old_one_stays_as_long_as_it_is_published(fal):
    fal.signatures.verify(fal.headers(), BODY)
    old, new = fal.keys[0], SigningKey.generate()
    fal.keys = [old, new]
    fal.now_ms += ASK_AGAIN_MS + 1
    fal.signatures.verify(fal.headers(key=new), BODY)
    fal.signatures.verify(fal.headers(key=old), BODY)
    fal.keys = [new]
    fal.now_ms += KEEP_KEYS_MS + 1
    with pytest.raises(SignatureRefused):
        fal.signatures.verify(fal.headers(key=old), BODY)


def test_keys_that_cannot_be_read_are_no_reason_to_refuse(fal):
    fal.status = 503
    with pytest.raises(ProviderUnavailable):
        fal.signatures.verify(fal.headers(), BODY)
    fal.status = 200
    assert fal.signatures.verify(fal.headers(), BODY)
