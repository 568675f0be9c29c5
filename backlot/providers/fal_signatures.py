"""Whether a webhook is fal's: Ed25519 over four lines, with one of the keys that fal publishes."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import httpx
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from backlot.clock import Clock
from backlot.errors import ProviderUnavailable
from backlot.webhooks import SignatureRefused

#: How far a webhook's time may be from ours, and how long fal's keys may be kept, milliseconds. Source: fal's webhook
#: pages, read 2026-11-20.
WINDOW_MS, KEEP_KEYS_MS = 300_000, 86_400_000

#: A signature that none of the known keys has made may be that of a new key; but strangers must not make us ask for
#: the keys again and again, milliseconds.
ASK_AGAIN_MS = 60_000

_PREFIX = "x-fal-webhook-"
_SIGNED = ("request-id", "user-id", "timestamp")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class FalSignatures:
    """Verifies webhooks.

    Source: three independent verifiers, see fal's webhook pages, read 2026-11-20.

    Args:
        jwks_url: where fal publishes its keys.
        clock: Unix time in milliseconds.
    """

    def __init__(self, jwks_url: str, clock: Clock) -> None:
        self._jwks_url = jwks_url
        self._clock = clock
        self._http = httpx.Client(timeout=5.0, trust_env=False, headers={"User-Agent": "Backlot/1"})
        self._keys: list[VerifyKey] = []
        self._asked_ms: int | None = None

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """Check that fal has sent a body, and lately.

        Args:
            headers: of the request, names in any case.
            body: as it came.

        Returns:
            The signature, by which a webhook that is sent again unchanged is recognised.

        Raises:
            SignatureRefused: it is missing, too old, or of nobody whom fal names.
            ProviderUnavailable: fal's keys cannot be had.
        """
        named = {name.lower(): value for name, value in headers.items()}
        lines = [named.get(_PREFIX + name) for name in _SIGNED]
        signature = named.get(_PREFIX + "signature", "")
        timestamp = lines[-1] or ""
        if None in lines or not _TIMESTAMP.fullmatch(timestamp):
            raise SignatureRefused()
        if abs(self._clock() - int(timestamp) * 1000) > WINDOW_MS:
            raise SignatureRefused()
        message = "\n".join([*(line or "" for line in lines), hashlib.sha256(body).hexdigest()]).encode()
        try:
            signed = bytes.fromhex(signature)
        except ValueError:
            raise SignatureRefused() from None
        if not self._is_signed(message, signed):
            raise SignatureRefused()
        return signed.hex()

    def _is_signed(self, message: bytes, signature: bytes) -> bool:
        if self._asked_ms is None or self._clock() - self._asked_ms > KEEP_KEYS_MS:
            self._ask()
        if _any(self._keys, message, signature):
            return True
        if self._asked_ms is None or self._clock() - self._asked_ms <= ASK_AGAIN_MS:
            return False
        self._ask()
        return _any(self._keys, message, signature)

    def _ask(self) -> None:
        """Read the keys.

        Raises:
            ProviderUnavailable: they cannot be had; those that are not too old stay.
        """
        try:
            response = self._http.get(self._jwks_url)
            response.raise_for_status()
            keys = [key for entry in response.json()["keys"] if (key := _key(entry)) is not None]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise ProviderUnavailable(provider="fal", reason="its keys cannot be read") from error
        self._keys, self._asked_ms = keys, self._clock()


def _key(entry: Any) -> VerifyKey | None:
    """Read an entry of a JWKS; None for a key of another kind."""
    if not isinstance(entry, dict) or (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519"):
        return None
    text = str(entry.get("x", ""))
    try:
        return VerifyKey(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, TypeError):
        return None


def _any(keys: list[VerifyKey], message: bytes, signature: bytes) -> bool:
    for key in keys:
        try:
            key.verify(message, signature)
        except (BadSignatureError, ValueError):
            continue
        return True
    return False
