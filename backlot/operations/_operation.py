"""What every operation of the catalogue says about itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from backlot.errors import ImageTooLarge, ImageUnreadable, ImageUrlRefused
from backlot.faces import FaceKeeper
from backlot.image_urls import ImageUrlPolicy
from backlot.inline_images import InlineImages
from backlot.seedream_models import OfferedModels
from backlot.tasks import CostItem

#: Longest prompt; SeeDream advises at most 600 English words, and a state machine carries at most 256 KiB.
MAX_PROMPT_CHARS = 8000

#: Longest description of a face or of an expression, characters.
MAX_DESCRIPTION_CHARS = 500


class Lane(StrEnum):
    """Which kind of machine does the work."""

    PAID = "paid"
    GPU = "gpu"
    MODEL = "model"


@dataclass(frozen=True)
class RequestContext:
    """What a request is checked against besides its own text; passed as pydantic's validation context.

    Args:
        images: which image URLs may be fetched.
        inline: takes the images that the request carries itself; None where that is not possible.
        seedream: which of SeeDream's models may be asked.
        node_classes: which classes of ComfyUI's a workflow may use; None for those that are packaged.
        portrait_route: the way of portraits whose request names none, see `identity_portrait.Route`.
    """

    images: ImageUrlPolicy = field(default_factory=ImageUrlPolicy)
    inline: InlineImages | None = None
    seedream: OfferedModels = field(default_factory=OfferedModels)
    node_classes: frozenset[str] | None = None
    portrait_route: str = "fal"

    @classmethod
    def of(cls, info: ValidationInfo) -> Self:
        """Return the context of a validation, or the strictest one where none was given."""
        return info.context if isinstance(info.context, cls) else cls()


def problem(kind: str, sentence: str, place: tuple[int | str, ...], value: Any) -> InitErrorDetails:
    """Return one of several problems of a field, or of a request."""
    said = PydanticCustomError(kind, "{sentence}", {"sentence": sentence})
    return InitErrorDetails(type=said, loc=place, input=value)


def found_problems(error: ValidationError) -> list[InitErrorDetails]:
    """Return the problems of a validation that goes on, in their own words."""
    return [problem(each["type"], each["msg"], each["loc"], each["input"]) for each in error.errors(include_url=False)]


def _checked_url(url: str, info: ValidationInfo) -> str:
    context = RequestContext.of(info)
    try:
        if context.inline is not None and url[:5].lower() == "data:":
            return context.inline.keep(url)
        context.images.check(url)
    except (ImageUrlRefused, ImageUnreadable, ImageTooLarge) as error:
        kind = type(error).code().lower()
        raise PydanticCustomError(kind, "{sentence}", {"sentence": str(error)}) from error
    return url


#: A URL of an image, refused before anything is stored if its text alone shows that it must not be fetched; or the
#: image itself, which becomes such a URL.
ImageUrl = Annotated[
    str,
    AfterValidator(_checked_url),
    Field(
        description="https://, s3:// of an upload or a result, the URL of a result, or data:image/…;base64,…",
        json_schema_extra={"format": "uri"},
        examples=["https://example.com/portrait.jpg"],
    ),
]

#: Which of several faces is meant, 0 for the first in the detector's order; null means 0.
_Count = Annotated[int, Field(ge=0, le=999)]
FaceIndex = Annotated[
    _Count,
    BeforeValidator(lambda value: 0 if value is None else value, json_schema_input_type=_Count | None),
    Field(description="Which face, counted from 0 in the detector's order."),
]

Prompt = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]

#: A few words that go into a prompt of ours; blank ones are none.
_Description = Annotated[
    Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)] | None,
    AfterValidator(lambda text: " ".join(text.split()) or None if text else None),
]
FacePositionPrompt = Annotated[
    _Description,
    Field(
        description="Which person is meant; `face_index` then counts among the faces that fit, the best one first.",
        examples=["the woman on the left"],
    ),
]
ExpressionPrompt = Annotated[
    _Description,
    Field(description="The expression of the new face; added to the prompt.", examples=["smiling, eyes closed"]),
]


def _checked_callback(url: str | None, info: ValidationInfo) -> str | None:
    try:
        if url is not None:
            RequestContext.of(info).images.check_foreign(url)
    except ImageUrlRefused as error:
        sentence = "The callback URL is refused: {reason}"
        raise PydanticCustomError("callback_url_refused", sentence, {"reason": error.fields["reason"]}) from error
    return url


#: Where a client wants to be told that its task has ended.
CallbackUrl = Annotated[
    Annotated[str, Field(json_schema_extra={"format": "uri"})] | None,
    AfterValidator(_checked_callback),
    Field(
        description="Gets a signed webhook (Standard Webhooks) when the task has ended, retried for three hours.",
        examples=["https://studio.example.com/hooks/backlot"],
    ),
]


class OperationRequest(BaseModel):
    """Base of the requests: unknown keys are ignored, as the replaced servers did."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    callback_url: CallbackUrl = None

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Return the request with everything decided that can be decided before any work is done."""
        del images
        return self

    def kept(self, faces: FaceKeeper) -> "OperationRequest":
        """Return the request as it is stored: pictures that came within it are stored apart, and checked before."""
        del faces
        return self


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An entry of the catalogue.

    Args:
        name: in paths, metrics and records; the module and the state machine carry it with underscores.
        title: a few words for people.
        description: what it does, for the API's documentation.
        lane: which machines do the work.
        other_lanes: which others do it for the same request, if that asks for another `route`.
        models_by_route: models that only requests of a route need.
        request: model of the request.
        steps: names of the steps in the order of the happy path; each is a module of `backlot.steps`.
        providers: paid APIs that it needs, by the name under which their key is kept.
        models: of our own that it cannot do without; a stage without one of them refuses it.
        transitions: state transitions of the longest happy path, the start of the execution among them.
        estimate: what the providers charge for a typical request.
        example: a request that the documentation shows and `make demo` submits.
    """

    name: str
    title: str
    description: str
    lane: Lane
    request: type[OperationRequest]
    steps: tuple[str, ...]
    providers: tuple[str, ...]
    transitions: int
    estimate: Callable[[], list[CostItem]]
    example: dict[str, Any]
    models: tuple[str, ...] = ()
    other_lanes: tuple[Lane, ...] = ()
    models_by_route: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def models_of(self, route: str | None) -> tuple[str, ...]:
        """Return the models of our own without which a request of a route cannot be done."""
        return (*self.models, *self.models_by_route.get(route or "", ()))

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes that may do the work."""
        return (self.lane, *self.other_lanes)

    @property
    def module(self) -> str:
        """Name of the module, the state machine's file and the like: `face-mask` → `face_mask`."""
        return self.name.replace("-", "_")

    @property
    def label(self) -> str:
        """How the replaced servers wrote the name in sentences: `face-mask` → `Face mask`."""
        return self.name.replace("-", " ").capitalize()
