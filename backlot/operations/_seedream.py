"""What requests to SeeDream have in common: which model, and which size."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from backlot.images.sizes import form_problem, size_problem
from backlot.operations._operation import RequestContext
from backlot.seedream_models import ANY_MODEL, SeedreamModel


def model_limits(info: ValidationInfo) -> SeedreamModel | None:
    """Return what the request's model takes, None if it names one that is not offered.

    The field `model` has to stand before the field that asks.
    """
    model = info.data.get("model")
    return RequestContext.of(info).seedream.limits(model) if model else None


def _checked_model(name: str | None, info: ValidationInfo) -> str:
    """Turn a model's name into the id under which the stage asks it."""
    offered = RequestContext.of(info).seedream
    model_id = offered.id_of(name)
    if model_id is None:
        names = ", ".join(repr(each) for each in (ANY_MODEL, *offered.ids))
        raise PydanticCustomError("seedream_model", "Model must be one of {names}, or a full id", {"names": names})
    return model_id


#: Null, `seedream`, an alias or an id; in the checked request always the id.
Model = Annotated[
    Annotated[str, Field(max_length=128)] | None,
    AfterValidator(_checked_model),
    Field(
        description=(
            "`seedream` (default) for the stage's own choice; else an alias such as `4.5`, or a full id. What a model "
            "takes is checked when the request is sent."
        ),
        examples=["seedream", "4.5", "doubao-seedream-5-0-260128"],
        validate_default=True,
    ),
]


def _checked_size(size: str | None, info: ValidationInfo) -> str | None:
    """Turn the three ways of asking for the automatic size into None, and refuse what the model would refuse."""
    if size is None or size in ("", "auto"):
        return None
    limits = model_limits(info)
    problem = size_problem(size, limits) if limits else form_problem(size)
    if problem:
        raise PydanticCustomError("image_size", "Size {problem}", {"problem": problem})
    return size


#: `auto` (also null or empty), a tier such as `2K`, or `WIDTHxHEIGHT`.
Size = Annotated[
    Annotated[str, Field(max_length=16)] | None,
    AfterValidator(_checked_size),
    Field(
        description=(
            "`auto` (default) takes the listed size whose aspect ratio is nearest to the first picture's, and 1:1 "
            "without a picture; else a tier such as `2K`, or `WIDTHxHEIGHT` within the model's limits."
        ),
        examples=["auto", "2048x2048"],
    ),
]
