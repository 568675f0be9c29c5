"""What every operation of the catalogue says about itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from backlot.errors import ImageUrlRefused
from backlot.image_urls import MAX_URL_CHARS, ImageUrlPolicy
from backlot.tasks import CostItem

#: Longest prompt; SeeDream advises at most 600 English words, and a state machine carries at most 256 KiB.
MAX_PROMPT_CHARS = 8000


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
        seedream_model: whose size limits apply.
    """

    images: ImageUrlPolicy = field(default_factory=ImageUrlPolicy)
    seedream_model: str = ""

    @classmethod
    def of(cls, info: ValidationInfo) -> Self:
        """Return the context of a validation, or the strictest one where none was given."""
        return info.context if isinstance(info.context, cls) else cls()


def _checked_url(url: str, info: ValidationInfo) -> str:
    try:
        RequestContext.of(info).images.check(url)
    except ImageUrlRefused as error:
        raise PydanticCustomError("image_url_refused", "{sentence}", {"sentence": str(error)}) from error
    return url


#: A URL of an image, refused before anything is stored if its text alone shows that it must not be fetched.
ImageUrl = Annotated[
    str,
    AfterValidator(_checked_url),
    Field(
        max_length=MAX_URL_CHARS,
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


class OperationRequest(BaseModel):
    """Base of the requests: unknown keys are ignored, as the replaced servers did."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Return the request with everything decided that can be decided before any work is done."""
        del images
        return self


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An entry of the catalogue.

    Args:
        name: in paths, metrics and records; the module and the state machine carry it with underscores.
        title: a few words for people.
        description: what it does, for the API's documentation.
        lane: which machines do the work.
        request: model of the request.
        steps: names of the steps in the order of the happy path; each is a module of `backlot.steps`.
        providers: paid APIs that it needs, by the name under which their key is kept.
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

    @property
    def module(self) -> str:
        """Name of the module, the state machine's file and the like: `face-mask` → `face_mask`."""
        return self.name.replace("-", "_")

    @property
    def label(self) -> str:
        """How the replaced servers wrote the name in sentences: `face-mask` → `Face mask`."""
        return self.name.replace("-", " ").capitalize()
