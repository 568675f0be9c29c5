"""Settings from the environment: the one place that reads it."""

import os
from typing import Self

from pydantic import BaseModel, ConfigDict


def starts_from_snapshot() -> bool:
    """Tell whether this is the start whose memory Lambda keeps, and from which later starts go on (SnapStart)."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"  # noqa: TID251


class EnvironmentSettings(BaseModel):
    """A deployable's settings: each field is read from the variable of the same name in capitals.

    Read once in a composition root by `from_environment`; a missing or impossible value fails there, with the
    variable's name in the error.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper)

    @classmethod
    def from_environment(cls) -> Self:
        """Read and check the settings.

        Raises:
            pydantic.ValidationError: a variable is missing or outside its bounds.
        """
        return cls.model_validate(dict(os.environ))  # noqa: TID251

    @classmethod
    def variables(cls) -> set[str]:
        """Return the names of the environment variables that it reads."""
        return {name.upper() for name in cls.model_fields}
