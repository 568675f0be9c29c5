"""deliver-masks: hand the masks of a body to the studio's mask asset service."""

from pydantic import BaseModel

from backlot.assets import BODY_MASK_PREFIX
from backlot.body_regions import FILE_NAMES
from backlot.errors import MasksNotDelivered, Unexpected
from backlot.providers.mask_assets import MaskAssets, MaskFile
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: Largest mask, bytes: the picture itself with a rectangle in it, as PNG.
MAX_MASK_BYTES = 200_000_000


class DeliverMasksInput(BaseModel):
    """The masks, and their names at the service."""

    user_id: str
    job_id: str
    masks: dict[str, str]
    images: list[MadeImage]
    model: str


def deliver_masks(request: DeliverMasksInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        MasksNotDelivered: the service did not take them, whatever the reason; the state machine tries again.
    """
    service: MaskAssets | None = run.deps.providers.get(MaskAssets.name)
    if service is None:
        raise MasksNotDelivered(reason="this stage has no mask asset service")
    files = [MaskFile(f"{request.job_id}_{FILE_NAMES[name]}", _read(url, run)) for name, url in request.masks.items()]
    with run.watch.time("provider_s"):
        stored = service.send(
            secret=run.deps.keys.key(MaskAssets.name), user_id=request.user_id, job_id=request.job_id, files=files
        )
    return StepOutput(
        step=STEP.name,
        images=list(request.images),
        provider=MaskAssets.name,
        model=request.model,
        cost=[],
        detail={"delivered": True, "attempts": run.retries + 1, "stored_keys": stored},
    )


def _read(url: str, run: StepRun) -> bytes:
    key = run.deps.images.own_key(url)
    if key is None or not key.startswith(BODY_MASK_PREFIX):
        raise Unexpected()
    with run.watch.time("fetch_s"):
        return run.deps.objects.get(key, MAX_MASK_BYTES)


STEP = Step(name="deliver-masks", input=DeliverMasksInput, run=deliver_masks)
