"""Systems Manager's parameters: what one stack tells the functions of another."""

from typing import Any


class Parameter:
    """One parameter, read once.

    Args:
        client: a boto3 SSM client.
        name: of the parameter.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self._value: str | None = None

    def value(self) -> str:
        """Return its value."""
        if self._value is None:
            self._value = str(self._client.get_parameter(Name=self._name)["Parameter"]["Value"])
        return self._value
