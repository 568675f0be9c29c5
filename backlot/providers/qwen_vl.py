"""Qwen3-VL through DashScope's OpenAI-compatible endpoint: finds what a prompt names, as boxes."""

from typing import Any

from backlot.errors import ProviderAnswerInvalid
from backlot.providers.paid_api import PaidApi, Refusal, count

#: Longest answer, tokens; a box takes about 60.
MAX_ANSWER_TOKENS = 4096

#: Native and compatible spellings of the codes that mean moderation. Source: the vendor's error pages, read 2026-11-20.
_MODERATION = {"datainspectionfailed", "ipinfringementsuspect", "faqruleblocked", "customroleblocked"}


class QwenVL(PaidApi):
    """Client of the chat completions of one region.

    Source: alibabacloud.com/help "OpenAI compatible - Vision" and the vendor's SDK `dashscope` 2.0.2, read 2026-11-20.
    """

    name = "dashscope"

    def find_boxes(self, *, key: str, model: str, prompt: str, image_url: str) -> dict[str, Any]:
        """Ask for the boxes of something in a picture, see `backlot.providers.boxes`.

        Args:
            key: API key of the endpoint's region.
            model: a Qwen3-VL model; older families answer in other coordinates.
            prompt: what to look for and how to answer.
            image_url: the picture, as a `data:` URL.

        Returns:
            The parts of the answer that are kept: `text`, `model`, `input_tokens`, `output_tokens`.

        Raises:
            backlot.errors.BacklotError: see `PaidApi.post`; ProviderAnswerInvalid also for an answer without a message.
        """
        body = {
            "model": model,
            "temperature": 0.1,
            "max_tokens": MAX_ANSWER_TOKENS,
            "enable_thinking": False,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": image_url}},
                        {"type": "text", "text": prompt},
                    ],
                }
            ],
        }
        answer = self.post("chat/completions", key, body)
        usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
        return {
            "text": self._text(answer),
            "model": str(answer.get("model") or model),
            "input_tokens": count(usage.get("prompt_tokens")),
            "output_tokens": count(usage.get("completion_tokens")),
        }

    def is_error(self, answer: dict[str, Any]) -> bool:
        """Also recognise the native API's habit of answering an error with HTTP 200."""
        return super().is_error(answer) or ("choices" not in answer and "code" in answer)

    def is_moderation(self, refusal: Refusal) -> bool:
        """Tell whether a refusal is about the content."""
        return refusal.code.replace("_", "").lower() in _MODERATION

    def is_exhausted(self, refusal: Refusal) -> bool:
        """Tell a used-up quota from a rate limit: both are called AllocationQuota, only the words differ."""
        quota = refusal.code in ("Throttling.AllocationQuota", "insufficient_quota")
        return quota and any(word in refusal.message.lower() for word in ("free", "exhausted", "billing"))

    def _text(self, answer: dict[str, Any]) -> str:
        try:
            content = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            content = None
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        if not isinstance(content, str) or not content.strip():
            raise ProviderAnswerInvalid(provider=self.name, reason="it holds no message")
        return content
