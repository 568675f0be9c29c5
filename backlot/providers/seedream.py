"""SeeDream through Volcano Engine Ark's (or BytePlus ModelArk's) images API."""

from typing import Any

from backlot.errors import ProviderAnswerInvalid
from backlot.providers.paid_api import PaidApi, Refusal, count

#: 429s that waiting does not lift: a spending cap of the account's own, and a used-up quota. Source: Ark's error
#: codes, read 2026-11-20.
_EXHAUSTED = ("SetLimitExceeded", "QuotaExceeded")


class Seedream(PaidApi):
    """Client of the image generations of one region.

    Source: the vendor's SDK `volcengine-ark-runtime`, read 2026-11-20.
    """

    name = "ark"

    def generate(self, *, key: str, model: str, prompt: str, images: list[str], size: str) -> dict[str, Any]:
        """Make one picture from a prompt and reference pictures.

        Args:
            key: API key.
            model: model id or the id of an endpoint of the account's own.
            prompt: what to make of the pictures.
            images: `data:` URLs, in the order in which the prompt counts them.
            size: `WIDTHxHEIGHT` or a tier.

        Returns:
            The parts of the answer that are kept: `url` (valid for 24 hours), `model`, `images` (as billed).

        Raises:
            backlot.errors.BacklotError: see `PaidApi.post`; ProviderAnswerInvalid also for an answer without a picture.
        """
        body = {
            "model": model,
            "prompt": prompt,
            "image": images,
            "size": size,
            "sequential_image_generation": "disabled",
            "response_format": "url",
            "stream": False,
            "watermark": False,
        }
        answer = self.post("images/generations", key, body)
        usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
        return {
            "url": self._url(answer),
            "model": str(answer.get("model") or model),
            "images": count(usage.get("generated_images")) or 1,
        }

    def is_moderation(self, refusal: Refusal) -> bool:
        """Tell whether a refusal is about the content: of the text, of a picture sent, or of the one made."""
        return "SensitiveContentDetected" in refusal.code or "RiskDetection" in refusal.code

    def is_exhausted(self, refusal: Refusal) -> bool:
        """Tell whether a 429 means a limit that waiting does not lift."""
        return refusal.code in _EXHAUSTED

    def _url(self, answer: dict[str, Any]) -> str:
        """Return the first picture's URL; a picture of its own can have failed inside a success."""
        data = answer.get("data")
        first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
        if isinstance(first.get("error"), dict):
            internal = "Internal" in str(first["error"].get("code"))
            raise self.error(self.refusal(500 if internal else 400, first))
        if not isinstance(first.get("url"), str) or not first["url"]:
            raise ProviderAnswerInvalid(provider=self.name, reason="it names no picture")
        return str(first["url"])
