"""generate-images: let SeeDream draw pictures from a text and reference pictures."""

from typing import Any

from pydantic import BaseModel

from backlot.images.sizes import automatic_size, listed_size
from backlot.providers.seedream import Seedream
from backlot.steps import _seedream
from backlot.steps._step import Step, StepRun
from backlot.tasks import StepOutput

#: With more references than this, each is sent smaller, so that 14 of them make a request of about 40 MB.
LARGE_REFERENCES = 4


class GenerateImagesInput(BaseModel):
    """What to draw, what from, and how many; null for what is ours or the model's to choose."""

    prompt: str
    image_urls: list[str]
    model: str | None = None
    size: str | None = None
    max_images: int = 1
    output_format: str | None = None


def generate_images(request: GenerateImagesInput, run: StepRun) -> StepOutput:
    """Do the step.

    The provider's answer is kept as soon as it is here, and the pictures that it names, whose URLs expire, are stored
    before anything is reported.

    Raises:
        backlot.errors.BacklotError: a reference cannot be had or read, the provider fails or makes no picture, or none
            of its pictures can be had.
    """
    return _seedream.keep(STEP.name, run.kept_answer or _generate(request, run), run)


def _generate(request: GenerateImagesInput, run: StepRun) -> dict[str, Any]:
    images: list[str] = []
    size = request.size
    side_px = _seedream.REFERENCE_SIDE_PX // (1 if len(request.image_urls) <= LARGE_REFERENCES else 2)
    # One after the other: a picture of 50 megapixels takes 150 MB as pixels.
    for url in request.image_urls:
        picture = run.picture(url)
        size = size or automatic_size(picture.width, picture.height)
        with run.watch.time("image_s"):
            images.append(_seedream.photograph(picture, max_side=side_px))
    return _seedream.generate(
        run,
        model=request.model,
        prompt=request.prompt,
        images=images,
        size=size or listed_size("1:1"),
        max_images=request.max_images,
        output_format=request.output_format,
    )


STEP = Step(name="generate-images", input=GenerateImagesInput, run=generate_images, provider=Seedream.name)
