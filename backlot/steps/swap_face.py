"""swap-face: let SeeDream fill the black area of a masked picture with the face of another one."""

from typing import Any

from pydantic import BaseModel

from backlot import pricing, prompts
from backlot.assets import CACHE_CONTROL, SEEDREAM_PREFIX, result_key
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
from backlot.images.sizes import automatic_size
from backlot.providers.seedream import Seedream
from backlot.steps._step import Step, StepRun
from backlot.tasks import StepOutput

#: References beyond this side gain nothing: the largest output has 4096 px. The limit of a file is 10 MB; read
#: 2026-11-20.
REFERENCE_SIDE_PX = 4096
REFERENCE_QUALITY = 95
MAX_REFERENCE_BYTES = 7_000_000


class SwapFaceInput(BaseModel):
    """A masked picture, the person to put there, a prompt (null for ours), a size (null for automatic)."""

    masked_image_url: str
    target_face_url: str
    prompt: str | None = None
    size: str | None = None


def swap_face(request: SwapFaceInput, run: StepRun) -> StepOutput:
    """Do the step.

    The provider's answer is kept as soon as it is here, and the picture that it names, whose URL expires, is stored
    before anything is reported.

    Raises:
        backlot.errors.BacklotError: an image cannot be had or read, the provider fails, or its picture cannot be had.
    """
    answer = run.kept_answer or _generate(request, run)
    data, header = _download(answer["url"], run)
    key = result_key(SEEDREAM_PREFIX, run.task_id, STEP.name, run.created_ms, header.content_type)
    with run.watch.time("store_s"):
        run.deps.objects.put(key, data, content_type=header.content_type, cache_control=CACHE_CONTROL)
    cost = [pricing.charge(pricing.price_key(answer["model"], "image"), answer["images"])]
    return StepOutput(
        step=STEP.name,
        result_url=run.deps.images.url(key),
        width=header.width,
        height=header.height,
        content_type=header.content_type,
        provider=Seedream.name,
        model=answer["model"],
        cost=cost,
        detail={"size": answer["size"]},
    )


def _generate(request: SwapFaceInput, run: StepRun) -> dict[str, Any]:
    seedream: Seedream = run.deps.providers[Seedream.name]
    masked = run.picture(request.masked_image_url)
    identity = run.picture(request.target_face_url)
    with run.watch.time("image_s"):
        images = [_lossless(masked), _photograph(identity)]
    size = request.size or automatic_size(masked.width, masked.height)
    prompt = request.prompt if request.prompt and request.prompt.strip() else prompts.SWAP_FACE
    key = run.deps.keys.key(Seedream.name)
    model = run.deps.models[Seedream.name]
    return run.pay(
        Seedream.name,
        lambda: seedream.generate(key=key, model=model, prompt=prompt, images=images, size=size) | {"size": size},
    )


def _lossless(picture: codecs.Picture) -> str:
    """Encode the masked picture without loss, so that the ellipse keeps its edge, unless that is too large to send."""
    flat = codecs.Picture(codecs.flatten(picture.pixels), picture.icc_profile)
    if max(flat.width, flat.height) <= REFERENCE_SIDE_PX:
        data = codecs.encode_png(flat)
        if len(data) <= MAX_REFERENCE_BYTES:
            return codecs.data_url("image/png", data)
    return _photograph(flat)


def _photograph(picture: codecs.Picture) -> str:
    data = codecs.encode_jpeg(picture, max_side=REFERENCE_SIDE_PX, quality=REFERENCE_QUALITY)
    return codecs.data_url("image/jpeg", data)


def _download(url: str, run: StepRun) -> tuple[bytes, codecs.Header]:
    """Read the provider's picture; its faults are the provider's, not the caller's.

    Raises:
        ProviderUnavailable: its host fails for the moment; the kept answer is used again.
        ProviderAnswerInvalid: the URL does not give a whole picture.
    """
    try:
        with run.watch.time("store_s"):
            data = run.deps.result_fetcher.fetch(url)
        with run.watch.time("image_s"):
            return data, codecs.verify(data)
    except ImageHostUnavailable as error:
        raise ProviderUnavailable(
            provider=Seedream.name, reason=f"its picture cannot be downloaded. {error}"
        ) from error
    except (ImageUrlRefused, ImageNotFetched, ImageTooLarge, ImageUnreadable) as error:
        raise ProviderAnswerInvalid(provider=Seedream.name, reason=f"its picture cannot be had. {error}") from error


STEP = Step(name="swap-face", input=SwapFaceInput, run=swap_face)
