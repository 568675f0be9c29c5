"""SeeDream through Volcano Engine Ark's (or BytePlus ModelArk's) images API."""

from typing import Any

from backlot.errors import BacklotError, ProviderAnswerInvalid
from backlot.providers.paid_api import PaidApi, Refusal, count
from backlot.tasks import ImageError

#: 429s that waiting does not lift: a spending cap of the account's own, and a used-up quota. Source: Ark's error
#: codes, read 2026-11-20.
_EXHAUSTED = ("SetLimitExceeded", "QuotaExceeded")

#: A batch is drawn one picture after the other, and whoever gives it up is billed nevertheless: each picture but the
#: first gets this much longer, seconds. Source: a public project's notes of 2026-09-23, where a picture of 2K took 5.0
#: lite 26 s, the first's wait for a machine included; read 2026-11-20.
EXTRA_IMAGE_S = 25.0


class Seedream(PaidApi):
    """Client of the image generations of one region.

    Source: the vendor's SDK `volcengine-ark-runtime`, read 2026-11-20.
    """

    name = "ark"

    def generate(
        self,
        *,
        key: str,
        model: str,
        prompt: str,
        images: list[str],
        size: str,
        max_images: int = 1,
        output_format: str | None = None,
        limit_s: float | None = None,
    ) -> dict[str, Any]:
        """Make pictures from a prompt and reference pictures.

        Args:
            key: API key.
            model: model id or the id of an endpoint of the account's own.
            prompt: what to make.
            images: `data:` URLs, in the order in which the prompt counts them; may be empty.
            size: `WIDTHxHEIGHT` or a tier.
            max_images: at most so many; the model decides how many there will be.
            output_format: `png` or `jpeg`; None for models that do not know the field.
            limit_s: longest wait, seconds; None for `limit_for` so many.

        Returns:
            The parts of the answer that are kept: `pictures`, each with its `url` (valid for 24 hours) or with an
            `error` of our tree (`code`, `message`), at least one with a URL; `model`; `images` (as billed).

        Raises:
            backlot.errors.BacklotError: see `PaidApi.post`; the error of the first picture if none was made;
                ProviderAnswerInvalid also for an answer without pictures.
        """
        body = {
            "model": model,
            "prompt": prompt,
            "size": size,
            "sequential_image_generation": "disabled",
            "response_format": "url",
            "stream": False,
            "watermark": False,
        }
        if images:
            body["image"] = images
        if max_images > 1:
            body["sequential_image_generation"] = "auto"
            body["sequential_image_generation_options"] = {"max_images": max_images}
        if output_format:
            body["output_format"] = output_format
        answer = self.post("images/generations", key, body, limit_s=limit_s or self.limit_for(max_images))
        usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
        pictures = self._pictures(answer)
        return {
            "pictures": pictures,
            "model": str(answer.get("model") or model),
            "images": count(usage.get("generated_images")) or sum("url" in picture for picture in pictures),
        }

    def limit_for(self, max_images: int) -> float:
        """Return the longest wait for so many pictures, seconds: the client's, and more for each but the first."""
        return self.limit_s + EXTRA_IMAGE_S * (max_images - 1)

    def is_moderation(self, refusal: Refusal) -> bool:
        """Tell whether a refusal is about the content: of the text, of a picture sent, or of the one made."""
        return "SensitiveContentDetected" in refusal.code or "RiskDetection" in refusal.code

    def is_exhausted(self, refusal: Refusal) -> bool:
        """Tell whether a 429 means a limit that waiting does not lift."""
        return refusal.code in _EXHAUSTED

    def _pictures(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """Read an answer's pictures; one of its own can have failed inside a success."""
        data = answer.get("data")
        items = [item if isinstance(item, dict) else {} for item in data] if isinstance(data, list) else []
        errors = [self._error_of(item) for item in items]
        if None not in errors:
            raise errors[0] if errors and errors[0] else self._without_picture()
        return [
            {"error": ImageError.of(error).model_dump()} if error else {"url": str(item["url"])}
            for item, error in zip(items, errors, strict=True)
        ]

    def _error_of(self, item: dict[str, Any]) -> BacklotError | None:
        if isinstance(item.get("error"), dict):
            internal = "Internal" in str(item["error"].get("code"))
            return self.error(self.refusal(500 if internal else 400, item))
        return None if isinstance(item.get("url"), str) and item["url"] else self._without_picture()

    def _without_picture(self) -> BacklotError:
        return ProviderAnswerInvalid(provider=self.name, reason="it names no picture")
