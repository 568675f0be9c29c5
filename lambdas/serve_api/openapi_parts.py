"""Pieces of the OpenAPI document that its parts share."""

from typing import Any

from pydantic import BaseModel

from backlot.views import ErrorAnswer, ValidationAnswer


def task_id() -> dict[str, Any]:
    """Return the parameter of a path that names a task."""
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def ref(model: type[BaseModel]) -> dict[str, str]:
    """Refer to the schema of a model."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def answered(description: str, model: type[BaseModel]) -> dict[str, Any]:
    """Return an answer with a model as JSON."""
    return {"description": description, "content": {"application/json": {"schema": ref(model)}}}


def read_responses(view: type[BaseModel]) -> dict[str, Any]:
    """Return the answers of a route that reads a task."""
    return {
        "200": answered("The task.", view),
        "403": forbidden(),
        "404": answered("No task of this id belongs to the key.", ErrorAnswer),
        "422": unprocessable(),
        "429": throttled(),
    }


def unprocessable() -> dict[str, Any]:
    """Return the answer to a request that is wrong."""
    schema = {"anyOf": [ref(ValidationAnswer), ref(ErrorAnswer)]}
    return {"description": "The request is wrong.", "content": {"application/json": {"schema": schema}}}


def forbidden() -> dict[str, Any]:
    """Return the answer to a request without a key."""
    return answered("The API key is missing or unknown.", ErrorAnswer)


def throttled() -> dict[str, Any]:
    """Return the answer to a key that asks too much."""
    return answered("The key's rate or quota is used up.", ErrorAnswer)
