"""fal's queue: a job is submitted, and its result is told by a webhook or looked up."""

import re
from typing import Any

import httpx

from backlot.errors import (
    BacklotError,
    ContentRefused,
    ImageShapeRefused,
    ImageTooLarge,
    ImageUnreadable,
    MaybePaid,
    NoFaceFound,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
)
from backlot.providers.paid_api import MAX_REASON_CHARS, PaidApi, Refusal
from backlot.steps import Job

#: Errors of models by their type, which decides; the words do not. Those of the first group are not billed.
#: Source: fal's error pages, read 2026-11-20.
_UNAVAILABLE = {
    "internal_server_error",
    "generation_timeout",
    "downstream_service_error",
    "downstream_service_unavailable",
    "file_download_error",
}
_BY_TYPE: dict[str, type[BacklotError]] = {
    **dict.fromkeys(_UNAVAILABLE, ProviderUnavailable),
    "content_policy_violation": ContentRefused,
    "no_media_generated": ProviderAnswerInvalid,
    "image_too_small": ImageShapeRefused,
    "image_too_large": ImageTooLarge,
    "file_too_large": ImageTooLarge,
    "image_load_error": ImageUnreadable,
    "face_detection_error": NoFaceFound,
}

#: Answers of the gateway with which a submission may nevertheless have been queued.
_UNCLEAR = (502, 503, 504)

_STATUS = re.compile(r"\b([45]\d\d)\b")

#: What of a picture's description is kept.
_IMAGE = ("url", "width", "height", "content_type")


class Fal(PaidApi):
    """Client of the queue.

    Submitting is not idempotent and is never repeated here. An answer is kept as `{"output": …}` or as
    `{"failure": {"status", "type", "message"}}`.

    Source: PyPI `fal-client` 1.0.3 and docs.fal.ai, read 2026-11-20.
    """

    name = "fal"
    scheme = "Key"

    def submit(self, *, key: str, model: str, arguments: dict[str, Any], webhook_url: str) -> Job:
        """Buy a job.

        Args:
            key: `<id>:<secret>`.
            model: the endpoint's path, `fal-ai/flux/dev`.
            arguments: of the model.
            webhook_url: what fal calls when the job has ended.

        Raises:
            backlot.errors.BacklotError: see `PaidApi.post`; MaybePaid also for an answer that leaves open whether the
                job was queued.
        """
        # fal calls https addresses; a machine without one finds its results by looking.
        callable_ = webhook_url.startswith("https://") or self.base_url.startswith("http://")
        answer = self.post(model, key, arguments, params={"fal_webhook": webhook_url} if callable_ else None)
        request_id = answer.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise MaybePaid(provider=self.name, reason="its answer names no request_id")
        # Only the first two parts of a model's path are in the addresses of its jobs.
        job_url = f"{self.base_url}/{'/'.join(model.split('/')[:2])}/requests/{request_id}"

        def address(name: str, otherwise: str) -> str:
            told = answer.get(name)
            # Our key goes to these addresses, so that they have to be the queue's.
            return told if isinstance(told, str) and told.startswith(f"{self.base_url}/") else otherwise

        return Job(
            request_id=request_id,
            status_url=address("status_url", f"{job_url}/status"),
            response_url=address("response_url", job_url),
            cancel_url=address("cancel_url", f"{job_url}/cancel"),
        )

    def look(self, *, key: str, job: Job) -> dict[str, Any] | None:
        """Return a job's answer in the form in which it is kept; None while it is at work or cannot be asked.

        Raises:
            ProviderRefused: fal does not know our key any more; the job stays.
        """
        status = self._get(job.status_url, key)
        if status is None or status.status_code == 202:
            return None
        if status.is_success and _object(status).get("status") != "COMPLETED":
            return None
        response = self._get(job.response_url, key) if status.is_success else status
        if response is None:
            return None
        body = _object(response)
        return {"output": _kept(body)} if response.is_success else {"failure": _failure(response.status_code, body)}

    def read(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return a job's output.

        Raises:
            backlot.errors.BacklotError: the job failed, by the table of errors; ProviderAnswerInvalid also for an
                output without a picture.
        """
        failure = answer.get("failure")
        if failure is not None:
            raise self.error(Refusal(int(failure["status"]), str(failure["type"]), str(failure["message"])))
        output: dict[str, Any] = answer["output"]
        if not output["images"]:
            raise ProviderAnswerInvalid(provider=self.name, reason="it holds no picture")
        return output

    def cancel(self, *, key: str, job: Job) -> None:
        """Cancel a job; one that has ended stays as it is.

        Raises:
            ProviderUnavailable: fal cannot be reached.
        """
        try:
            self._http.put(job.cancel_url, headers=self.headers(key))
        except httpx.TransportError as error:
            raise ProviderUnavailable(provider=self.name, reason=str(error)[:120]) from error

    def overdue(self, limit_s: float) -> BacklotError:
        """Return the error of a job that took longer than we wait."""
        return ProviderTimedOut(provider=self.name, limit_s=f"{limit_s:g}")

    def unheard(self) -> BacklotError:
        """Return the error of a job of which nothing was heard, so that nobody knows whether it was bought."""
        return MaybePaid(provider=self.name, reason="nothing was heard of the job since it was submitted")

    def refusal(self, status: int, answer: dict[str, Any]) -> Refusal:
        """Read the error of an answer: a list of problems, or a text with `error_type` beside it."""
        failure = _failure(status, answer)
        return Refusal(status, failure["type"], failure["message"])

    def error(self, refusal: Refusal) -> BacklotError:
        """Translate fal's error into ours: by its type if that is known, else by the status."""
        fields = {"provider": self.name, "reason": refusal.reason}
        kind = _BY_TYPE.get(refusal.code)
        if kind is not None:
            return kind(**fields)
        if refusal.status == 429:
            return ProviderThrottled(**fields)
        if refusal.status == 408 or refusal.status >= 500:
            return ProviderUnavailable(**fields)
        return ProviderRefused(**fields)

    def is_unclear(self, response: httpx.Response) -> bool:
        """Tell whether an error leaves open if the request was taken: the gateway's, about a request that it knows."""
        return response.status_code in _UNCLEAR and "x-fal-request-id" in response.headers

    def _get(self, url: str, key: str) -> httpx.Response | None:
        """Ask about a job; None if that cannot be done for the moment, which says nothing about the job.

        Raises:
            ProviderRefused: our key is refused.
        """
        try:
            response = self._http.get(url, headers=self.headers(key))
        except httpx.TransportError:
            return None
        if response.status_code in (401, 403):
            raise ProviderRefused(provider=self.name, reason=f"HTTP {response.status_code} for the key")
        passing = response.status_code in (408, 429) or response.status_code >= 500
        return None if passing and "x-fal-request-id" not in response.headers else response


def webhook_answer(body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer that a webhook's body tells, in the form in which answers are kept.

    Args:
        body: `{request_id, status: "OK" | "ERROR", error, payload}`.
    """
    payload = body["payload"] if isinstance(body.get("payload"), dict) else {}
    if body.get("status") == "OK":
        return {"output": _kept(payload)}
    status = _STATUS.search(str(body.get("error") or ""))
    failure = _failure(int(status[1]) if status else 500, payload)
    return {"failure": failure | {"message": failure["message"] or str(body.get("error") or "")[:MAX_REASON_CHARS]}}


def is_flagged(output: dict[str, Any]) -> bool:
    """Tell whether fal's checker flagged a picture; a flagged one is replaced by black."""
    return any(flag is True for flag in output["has_nsfw_concepts"])


def _kept(output: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a model's output that are kept, in their types whatever was sent."""
    images = output.get("images")
    kept = [
        {name: image.get(name) for name in _IMAGE}
        for image in (images if isinstance(images, list) else [])
        if isinstance(image, dict) and isinstance(image.get("url"), str)
    ]
    flags, seed = output.get("has_nsfw_concepts"), output.get("seed")
    return {
        "images": kept,
        "seed": seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        "has_nsfw_concepts": flags if isinstance(flags, list) else [],
        "model": model if isinstance(model := output.get("model"), str) else None,
    }


def _failure(status: int, body: dict[str, Any]) -> dict[str, Any]:
    detail = body.get("detail")
    first = detail[0] if isinstance(detail, list) and detail and isinstance(detail[0], dict) else {}
    words = first.get("msg") or (detail if isinstance(detail, str) else body.get("message"))
    return {
        "status": status,
        "type": str(first.get("type") or body.get("error_type") or ""),
        "message": str(words or "")[:MAX_REASON_CHARS],
    }


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {"message": response.text[:MAX_REASON_CHARS]}
    return body if isinstance(body, dict) else {}
