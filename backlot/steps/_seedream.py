"""What the steps that ask SeeDream have in common: reference pictures, the paid call, and keeping what it made."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backlot import pricing
from backlot.assets import SEEDREAM_PREFIX
from backlot.errors import (
    BacklotError,
    ProviderAnswerInvalid,
)
from backlot.images import codecs
from backlot.providers.seedream import Seedream
from backlot.steps._results import take_over
from backlot.steps._step import StepRun
from backlot.tasks import FailedImage, ImageError, MadeImage, StepOutput

#: References beyond this side gain nothing: the largest output has 4096 px. The limit of a file is 10 MB; read
#: 2026-11-20.
REFERENCE_SIDE_PX = 4096
REFERENCE_QUALITY = 95
MAX_REFERENCE_BYTES = 7_000_000

#: Pictures that are downloaded at once; each takes up to 64 MB as a file and 50 MB as pixels.
DOWNLOADS = 4


def photograph(picture: codecs.Picture, *, max_side: int = REFERENCE_SIDE_PX) -> str:
    """Encode a reference picture as a JPEG `data:` URL."""
    data = codecs.encode_jpeg(picture, max_side=max_side, quality=REFERENCE_QUALITY)
    return codecs.data_url("image/jpeg", data)


def lossless(picture: codecs.Picture) -> str:
    """Encode a reference picture without loss, unless that is too large to send."""
    flat = codecs.Picture(codecs.flatten(picture.pixels), picture.icc_profile)
    if max(flat.width, flat.height) <= REFERENCE_SIDE_PX:
        data = codecs.encode_png(flat)
        if len(data) <= MAX_REFERENCE_BYTES:
            return codecs.data_url("image/png", data)
    return photograph(flat)


def generate(
    run: StepRun,
    *,
    model: str | None,
    prompt: str,
    images: list[str],
    size: str,
    max_images: int = 1,
    output_format: str | None = None,
) -> dict[str, Any]:
    """Do the paid call; the answer is kept with the size that was asked for.

    Args:
        model: id; None for the worker's own choice.
        images: `data:` URLs of the reference pictures.
    """
    seedream: Seedream = run.deps.providers[Seedream.name]
    key = run.deps.keys.key(Seedream.name)
    limit_s = run.affordable_s(seedream.limit_for(max_images))
    return run.pay(
        Seedream.name,
        lambda: (
            seedream.generate(
                key=key,
                model=model or run.deps.models[Seedream.name],
                prompt=prompt,
                images=images,
                size=size,
                max_images=max_images,
                output_format=output_format,
                limit_s=limit_s,
            )
            | {"size": size}
        ),
    )


def keep(step: str, answer: dict[str, Any], run: StepRun) -> StepOutput:
    """Store what an answer names, whose URLs expire, and describe it.

    A picture that the provider did not make, or that its URL does not give, is described by its error.

    Args:
        step: the step's name.
        answer: as `generate` returned it.

    Raises:
        ProviderUnavailable: the pictures' host fails for the moment; the kept answer is used again.
        ProviderAnswerInvalid: no URL gives a whole picture.
    """
    pictures: list[dict[str, Any]] = answer["pictures"]
    with run.watch.time("store_s"), ThreadPoolExecutor(DOWNLOADS) as pool:
        kept = list(pool.map(lambda index: _keep_one(step, index, pictures[index], run), range(len(pictures))))
    made = [image for image in kept if isinstance(image, MadeImage)]
    if not made:
        raise next(error for error in kept if isinstance(error, BacklotError))
    return StepOutput(
        step=step,
        images=[
            image if isinstance(image, MadeImage | FailedImage) else FailedImage(error=ImageError.of(image))
            for image in kept
        ],
        provider=Seedream.name,
        model=answer["model"],
        cost=pricing.image_charges(answer["model"], answer["images"], [image.width * image.height for image in made]),
        detail={"size": answer["size"]},
    )


def _keep_one(step: str, index: int, picture: dict[str, Any], run: StepRun) -> MadeImage | FailedImage | BacklotError:
    if "url" not in picture:
        return FailedImage(error=ImageError.model_validate(picture["error"]))
    try:
        return take_over(picture["url"], run, provider=Seedream.name, prefix=SEEDREAM_PREFIX, step=step, index=index)
    except ProviderAnswerInvalid as error:
        return error
