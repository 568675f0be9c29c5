"""What the paid APIs have in common: one POST of JSON, and the translation of everything that can go wrong with it."""

import json
import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx

from backlot.errors import (
    BacklotError,
    ContentRefused,
    MaybePaid,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
)

#: Longest piece of a provider's own words that goes into an error of ours, characters.
MAX_REASON_CHARS = 300

#: An answer holds texts and URLs; anything larger is not one, bytes.
MAX_ANSWER_BYTES = 4_000_000

#: Parts of codes that tell what kind of error it is where the HTTP status does not: providers report errors with 200,
#: too.
_TOO_MANY = ("throttling", "limit", "quota", "overloaded", "toofast")
_BROKEN = ("internal", "systemerror", "servingerror", "servicefailed", "unavailable", "timeout")
#: What httpx raises when the request cannot have arrived whole.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.WriteError, httpx.WriteTimeout)

#: Longest wait for a connection, seconds.
CONNECT_S = 10.0


@dataclass(frozen=True)
class Refusal:
    """A provider's error, as its body tells it.

    Args:
        status: HTTP status; for an error that came with 200, the one that its code stands for.
        code: the provider's own code, may be empty.
        message: the provider's own words, may be empty.
    """

    status: int
    code: str
    message: str

    @property
    def reason(self) -> str:
        """Code and words, cut to a length that fits an error message."""
        words = f"{self.code}: {self.message}" if self.code else self.message
        return (words or f"HTTP {self.status}")[:MAX_REASON_CHARS]


class _Sending:
    """Watches a request go out, because httpx answers a request that broke off only by what it reads afterwards."""

    def __init__(self) -> None:
        self.broke_off = False

    def trace(self, event: str, _: dict[str, Any]) -> None:
        """Take an event of httpcore's."""
        self.broke_off |= event in ("http11.send_request_headers.failed", "http11.send_request_body.failed")


class PaidApi:
    """Base of the providers' clients.

    A connection is never reused: a pooled one that the provider closed meanwhile fails in a way that cannot be told
    from an answer lost after it was paid.

    Args:
        base_url: of the API, without the path of a call.
        limit_s: longest wait for an answer, and for the whole of it when it comes in pieces, seconds.
    """

    #: The name under which the key is kept and which results and errors carry.
    name: str

    #: What stands before the key in the header `Authorization`.
    scheme = "Bearer"

    def __init__(self, *, base_url: str, limit_s: float) -> None:
        self.base_url = base_url.rstrip("/")
        self.limit_s = limit_s
        self._http = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(limit_s, connect=CONNECT_S),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            headers={"User-Agent": "Backlot/1"},
        )

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key."""
        return {"Authorization": f"{self.scheme} {key}"}

    def post(
        self,
        path: str,
        key: str,
        body: dict[str, Any],
        *,
        params: dict[str, str] | None = None,
        limit_s: float | None = None,
    ) -> dict[str, Any]:
        """Send one paid request.

        Args:
            path: of the call, below the base URL.
            key: API key.
            body: of the request.
            params: of the URL's query.
            limit_s: longest wait for this answer, seconds; None for the client's.

        Returns:
            The answer's JSON object.

        Raises:
            ProviderUnavailable: no connection, one that broke before the request was out, or HTTP 408 or 5xx; nothing
                was bought.
            ProviderThrottled: HTTP 429 for too many requests; nothing was bought.
            ContentRefused: the provider's moderation refused the content.
            ProviderRefused: it refused key, account, model or form.
            ProviderTimedOut: it accepted the request and did not answer in time.
            MaybePaid: it accepted the request and the answer was lost on the way.
            ProviderAnswerInvalid: the answer is complete and not a JSON object.
        """
        limit_s = limit_s or self.limit_s
        request = self._http.build_request(
            "POST",
            path,
            json=body,
            params=params,
            headers=self.headers(key),
            timeout=httpx.Timeout(limit_s, connect=CONNECT_S),
        )
        response, content = self._exchange(request, limit_s)
        if self.is_unclear(response):
            raise MaybePaid(provider=self.name, reason=f"HTTP {response.status_code} for a request that it knows")
        if response.status_code != 200:
            raise self.error(self.refusal(response.status_code, _words(content.replace(key.encode(), b"(key)"))))
        answer = self._json(content)
        if self.is_error(answer):
            raise self.error(self.refusal(200, answer))
        return answer

    def _exchange(self, request: httpx.Request, limit_s: float) -> tuple[httpx.Response, bytes]:
        """Send a request and read its answer, and tell what a broken connection means for the bill."""
        sending = _Sending()
        request.extensions["trace"] = sending.trace
        deadline = time.monotonic() + limit_s
        try:
            response = self._http.send(request, stream=True)
            with closing(response):
                return response, self._read(response, deadline)
        except _NOT_SENT as error:
            raise ProviderUnavailable(provider=self.name, reason=f"no connection ({str(error)[:120]})") from error
        except httpx.ReadTimeout as error:
            raise ProviderTimedOut(provider=self.name, limit_s=f"{round(limit_s, 1):g}") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            if sending.broke_off:
                reason = f"the connection broke before the request was sent ({str(error)[:120]})"
                raise ProviderUnavailable(provider=self.name, reason=reason) from error
            raise MaybePaid(provider=self.name, reason=str(error)[:120] or "the connection broke") from error

    def is_unclear(self, response: httpx.Response) -> bool:
        """Tell whether an error leaves open if the request was taken; an error means that it was not, by default."""
        del response
        return False

    def is_error(self, answer: dict[str, Any]) -> bool:
        """Tell whether an answer with HTTP 200 reports an error nevertheless."""
        return isinstance(answer.get("error"), dict)

    def refusal(self, status: int, answer: dict[str, Any]) -> Refusal:
        """Read the error of an answer: `{"error": {"code", "message", "type"}}`, or `code` and `message` at the top."""
        inner = answer.get("error")
        source = inner if isinstance(inner, dict) else {"message": inner} | answer
        code = str(source.get("code") or source.get("type") or "")
        return Refusal(_status_of(code) if status == 200 else status, code, str(source.get("message") or ""))

    def error(self, refusal: Refusal) -> BacklotError:
        """Translate a provider's error into ours."""
        fields = {"provider": self.name, "reason": refusal.reason}
        if self.is_moderation(refusal):
            return ContentRefused(**fields)
        if refusal.status == 429:
            return ProviderRefused(**fields) if self.is_exhausted(refusal) else ProviderThrottled(**fields)
        if refusal.status == 408 or refusal.status >= 500:
            return ProviderUnavailable(**fields)
        return ProviderRefused(**fields)

    def is_moderation(self, refusal: Refusal) -> bool:
        """Tell whether a refusal is about the content."""
        raise NotImplementedError

    def is_exhausted(self, refusal: Refusal) -> bool:
        """Tell whether a 429 means a limit that waiting does not lift."""
        raise NotImplementedError

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """Read an answer; of an error as much as arrives, because its status has said the most."""
        content = bytearray()
        try:
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise ProviderAnswerInvalid(provider=self.name, reason=f"it has {len(content)} bytes or more")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer comes too slowly")
        except (httpx.TransportError, httpx.DecodingError, ProviderAnswerInvalid):
            if response.status_code == 200:
                raise
        return bytes(content)

    def _json(self, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ProviderAnswerInvalid(provider=self.name, reason="it is not JSON") from error
        if not isinstance(answer, dict):
            raise ProviderAnswerInvalid(provider=self.name, reason="it is not a JSON object")
        return answer


def _words(content: bytes) -> dict[str, Any]:
    """Read an error's body, which may be anything."""
    text = content.decode("utf-8", "replace")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    return answer if isinstance(answer, dict) else {"message": text[:MAX_REASON_CHARS]}


def _status_of(code: str) -> int:
    """Return the HTTP status that an error's code stands for."""
    bare = code.replace("_", "").lower()
    if any(word in bare for word in _TOO_MANY):
        return 429
    return 500 if any(word in bare for word in _BROKEN) else 400


def count(value: Any) -> int:
    """Read a number of a usage record; 0 for anything that is no amount, so that no answer is lost for its bill."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and math.isfinite(value) and value > 0 else 0
