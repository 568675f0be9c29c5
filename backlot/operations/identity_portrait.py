"""identity-portrait: make a portrait of a captured face after a prompt, and go over it to make it of one piece."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from backlot import pricing, prompts
from backlot.faces import FaceKeeper
from backlot.operations._identity_packet import IdentityPacket
from backlot.operations._operation import Lane, Operation, OperationRequest, Prompt, RequestContext
from backlot.tasks import CostItem

#: The mode that is asked for by name; any other is `quality`.
SPEED, QUALITY = "speed", "quality"

#: Who makes a portrait: fal, or FLUX on an endpoint of our own.
Route = Literal["fal", "own"]
OWN: Route = "own"

#: The model that the own route asks, by its name in the stages.
FLUX = "flux"

_Word = Annotated[str, Field(max_length=60)]


class LightingParams(BaseModel):
    """How the portrait is lit; it becomes words of the prompt."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    direction: _Word | None = Field(None, description="`side`, `front`, `back`, `top`.")
    ambient: _Word | None = Field(
        None, description="`blue_night`, `warm_sunset`, `cool_sunrise`, `diffuse_gray`, `neutral_day`."
    )
    intensity: _Word | None = Field(None, description="`low`, `medium`, `high`.")
    temperature: float | None = Field(None, ge=0, le=100_000, description="Kelvin.")

    def in_words(self) -> str:
        """Return what it means as a sentence of a prompt."""
        return prompts.lighting(self.direction, self.ambient, self.intensity, self.temperature)


def _resolved_route(route: Route | None, info: ValidationInfo) -> str:
    return route or RequestContext.of(info).portrait_route


class _How(OperationRequest):
    """What is to be made of a face, and by whom."""

    master_prompt: Prompt
    negative_prompt: Prompt
    mode: Annotated[str, Field(max_length=40, description="`speed`, or `quality` for anything else.")] = SPEED
    lighting_params: LightingParams | None = None
    enable_harmonization: bool = True
    denoising_strength: Annotated[
        float, Field(ge=0.35, le=0.45, description="How much the second pass may change.")
    ] = 0.40
    fidelity_weight: Annotated[
        float, Field(ge=0.70, le=0.95, description="How closely the portrait keeps to the face.")
    ] = 0.85
    seed: Annotated[
        Annotated[int, Field(ge=0, le=2**32 - 1)] | None,
        BeforeValidator(lambda value: None if value == -1 else value),
    ] = None
    route: Annotated[
        Route | None,
        AfterValidator(_resolved_route),
        Field(
            description="`fal` for the paid API, `own` for FLUX on the stage's endpoint; null for the stage's choice.",
            validate_default=True,
        ),
    ] = None


class KeptPortraitRequest(_How):
    """The request as it is stored: the face lies in the bucket."""

    face_url: Annotated[str, Field(json_schema_extra={"format": "uri"})]


class IdentityPortraitRequest(_How):
    """A captured face, and what is to be made of it."""

    identity_packet: IdentityPacket

    def kept(self, faces: FaceKeeper) -> KeptPortraitRequest:
        """Store the face apart from the request, if it can be used at all."""
        face_url = self.identity_packet.keep(faces)
        how = {name: getattr(self, name) for name in _How.model_fields}
        how["mode"] = SPEED if self.mode == SPEED else QUALITY
        # Everything was checked; the callback's URL cannot be checked again without the stage's policy.
        return KeptPortraitRequest.model_construct(face_url=face_url, **how)


def portrait_estimate() -> list[CostItem]:
    """Price a portrait of one megapixel and its second pass."""
    return [
        pricing.charge("fal-ai/flux-pulid/megapixel", 1),
        pricing.charge("fal-ai/flux/dev/image-to-image/megapixel", 1),
    ]


OPERATION = Operation(
    name="identity-portrait",
    title="Make a portrait of a face",
    description=(
        "Makes a portrait after a prompt that keeps the identity of a captured face (FLUX with PuLID), and goes over "
        "it with a second pass so that light, skin and grain are of one piece. The face is checked before anything is "
        "paid, and deleted after an hour. If the second pass fails, the task completes with the portrait and says so "
        "in `steps[].detail.harmonized`. `route` says whether fal or the stage's own FLUX is asked; the own one says "
        "in `steps[].detail` how many steps were run, what had no effect, and under which licences its weights are; "
        "`progress` is then that of the pass at work."
    ),
    lane=Lane.PAID,
    other_lanes=(Lane.MODEL,),
    models_by_route={OWN: (FLUX,)},
    request=IdentityPortraitRequest,
    steps=("make-portrait", "harmonize-portrait", "paint-portrait", "blend-portrait"),
    providers=("fal",),
    transitions=5,
    estimate=portrait_estimate,
    example={
        "identity_packet": {
            "version": "1.0",
            "image": {"cleanFace": "<JPEG in base64>"},
            "facialData": {"boundingBox": {"left": 0.35, "top": 0.2, "right": 0.7, "bottom": 0.6}},
            "qualityMetrics": {"overallScore": 0.9, "passed": True},
        },
        "master_prompt": "Same facial identity as the reference, a sailor on a quay at dusk, film still",
        "negative_prompt": "other person, cartoon, painting, deformed hands",
        "mode": "quality",
        "lighting_params": {
            "direction": "side",
            "ambient": "warm_sunset",
            "intensity": "medium",
            "temperature": 3500,
        },
    },
)
