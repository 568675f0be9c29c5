"""The mask asset service: a server of the studio's that keeps body masks."""

import json
import ssl
import time
from dataclasses import dataclass
from typing import Any

import httpx

from backlot.errors import MasksNotDelivered

#: Longest wait for the service, the sending included, seconds: what its old client allowed.
LIMIT_S = 30.0

#: Longest piece of the service's own words that goes into an error, characters.
MAX_REASON_CHARS = 200

#: Largest answer that is read, bytes.
MAX_ANSWER_BYTES = 100_000


@dataclass(frozen=True)
class MaskFile:
    """A part of a delivery.

    Args:
        name: file name.
        body: a PNG.
    """

    name: str
    body: bytes


class MaskAssets:
    """Client of the service. A delivery is sent once; whoever calls tries again.

    Args:
        url: where masks are posted.
        limit_s: longest time for one delivery, seconds.
        verify: which certificates are trusted; by default those that all browsers do.

    Source: the protocol of the replaced mask component.
    """

    name = "mask-assets"

    def __init__(self, *, url: str, limit_s: float = LIMIT_S, verify: ssl.SSLContext | bool = True) -> None:
        self._url = url
        self._limit_s = limit_s
        self._verify = verify

    def send(self, *, secret: str, user_id: str, job_id: str, files: list[MaskFile]) -> Any:
        """Deliver masks.

        Args:
            secret: shared with the service.

        Returns:
            What the service says about where it keeps them, None if it does not say.

        Raises:
            MasksNotDelivered: anything but a JSON object with a status below 400.
        """
        parts = [("files", (file.name, file.body, "image/png")) for file in files]
        fields = {"user_id": user_id, "job_id": job_id, "provider": "qwen"}
        try:
            with httpx.Client(timeout=self._limit_s, trust_env=False, verify=self._verify) as http:
                request = http.build_request(
                    "POST", self._url, data=fields, files=parts, headers={"X-Internal-Auth": secret}
                )
                status, body = self._answer(http, request)
        except httpx.TimeoutException as error:
            raise self._late() from error
        except httpx.HTTPError as error:
            raise MasksNotDelivered(reason=str(error)[:MAX_REASON_CHARS] or type(error).__name__) from error
        if status >= httpx.codes.BAD_REQUEST:
            raise MasksNotDelivered(reason=f"HTTP {status}")
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise MasksNotDelivered(reason=f"HTTP {status} without JSON") from error
        return answer.get("stored_keys") if isinstance(answer, dict) else None

    def _answer(self, http: httpx.Client, request: httpx.Request) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._limit_s
        response = http.send(request, stream=True)
        try:
            body = b""
            for piece in response.iter_bytes():
                body += piece
                if time.monotonic() > deadline:
                    raise self._late()
                if len(body) > MAX_ANSWER_BYTES:
                    raise MasksNotDelivered(reason=f"its answer has more than {MAX_ANSWER_BYTES} bytes")
        finally:
            response.close()
        return response.status_code, body

    def _late(self) -> MasksNotDelivered:
        return MasksNotDelivered(reason=f"no answer within {self._limit_s:g} s")
