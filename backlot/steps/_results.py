"""Taking over the pictures that providers have made, whose URLs expire."""

from backlot.assets import CACHE_CONTROL, result_key
from backlot.errors import (
    ImageHostUnavailable,
    ImageNotFetched,
    ImageTooLarge,
    ImageUnreadable,
    ImageUrlRefused,
    ProviderAnswerInvalid,
    ProviderUnavailable,
)
from backlot.images import codecs
from backlot.steps._step import StepRun
from backlot.tasks import MadeImage


def take_over(url: str, run: StepRun, *, provider: str, prefix: str, step: str, index: int = 0) -> MadeImage:
    """Read a provider's picture, check it, store it, and describe it.

    Args:
        provider: whose it is; its faults are the provider's, not the caller's.
        prefix: of the object's key.
        index: of several pictures of a step.

    Raises:
        ProviderUnavailable: its host fails for the moment; the kept answer is used again.
        ProviderAnswerInvalid: the URL does not give a whole picture.
    """
    try:
        data = run.deps.result_fetcher.fetch(url)
        header = codecs.verify(data)
    except ImageHostUnavailable as error:
        raise ProviderUnavailable(provider=provider, reason=f"its picture cannot be downloaded. {error}") from error
    except (ImageUrlRefused, ImageNotFetched, ImageTooLarge, ImageUnreadable) as error:
        raise ProviderAnswerInvalid(provider=provider, reason=f"its picture cannot be had. {error}") from error
    key = result_key(prefix, run.task_id, step, run.created_ms, header.content_type, index=index)
    run.deps.objects.put(key, data, content_type=header.content_type, cache_control=CACHE_CONTROL)
    return MadeImage(
        result_url=run.deps.images.url(key),
        width=header.width,
        height=header.height,
        content_type=header.content_type,
    )
