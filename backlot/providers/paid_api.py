"""What the paid APIs have in common: one POST of JSON, and the translation of everything that can go wrong with it."""

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


@dataclass(frozen=True)
class Refusal:
    """A provider's error, as its body tells it.

    Args:
        status: HTTP status.
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


class PaidApi:
    """Base of the providers' clients.

    A connection is never reused: a pooled one that the provider closed meanwhile fails in a way that cannot be told
    from an answer lost after it was paid.

    Args:
        base_url: of the API, without the path of a call.
        limit_s: longest wait for an answer, seconds.
    """

    #: The name under which the key is kept and which results and errors carry.
    name: str

    def __init__(self, *, base_url: str, limit_s: float) -> None:
        self._limit_s = limit_s
        self._http = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(limit_s, connect=10.0),
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            headers={"User-Agent": "Backlot/1"},
        )

    def post(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send one paid request.

        Returns:
            The answer's JSON object.

        Raises:
            ProviderUnavailable: no connection, or HTTP 408 or 5xx; nothing was bought.
            ProviderThrottled: HTTP 429 for too many requests; nothing was bought.
            ContentRefused: the provider's moderation refused the content.
            ProviderRefused: it refused key, account, model or form.
            ProviderTimedOut: it accepted the request and did not answer in time.
            MaybePaid: it accepted the request and the answer was lost on the way.
            ProviderAnswerInvalid: the answer is complete and not a JSON object.
        """
        try:
            response = self._http.post(path, json=body, headers={"Authorization": f"Bearer {key}"})
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.WriteError,
            httpx.WriteTimeout,
        ) as error:
            raise ProviderUnavailable(provider=self.name, reason=f"no connection ({str(error)[:120]})") from error
        except httpx.ReadTimeout as error:
            raise ProviderTimedOut(provider=self.name, limit_s=f"{self._limit_s:g}") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise MaybePaid(provider=self.name, reason=str(error)[:120] or "the connection broke") from error
        answer = self._json(response)
        if response.status_code == 200 and not self.is_error(answer):
            return answer
        raise self.error(self.refusal(response.status_code, answer))

    def is_error(self, answer: dict[str, Any]) -> bool:
        """Tell whether an answer with HTTP 200 reports an error nevertheless."""
        return isinstance(answer.get("error"), dict)

    def refusal(self, status: int, answer: dict[str, Any]) -> Refusal:
        """Read the error of an answer: `{"error": {"code", "message", "type"}}`, or `code` and `message` at the top."""
        inner = answer.get("error")
        source = inner if isinstance(inner, dict) else answer
        code = source.get("code") or source.get("type") or ""
        return Refusal(status, str(code), str(source.get("message") or ""))

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

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        if len(response.content) > MAX_ANSWER_BYTES:
            raise ProviderAnswerInvalid(provider=self.name, reason=f"it has {len(response.content)} bytes")
        try:
            answer = response.json()
        except ValueError as error:
            if response.status_code != 200:
                return {"message": response.text[:MAX_REASON_CHARS]}
            raise ProviderAnswerInvalid(provider=self.name, reason="it is not JSON") from error
        if not isinstance(answer, dict):
            raise ProviderAnswerInvalid(provider=self.name, reason="it is not a JSON object")
        return answer


def count(value: Any) -> int:
    """Read a number of a usage record; 0 for anything that is not a number."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0
