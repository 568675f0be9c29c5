"""The clients of an account, for the operator's tools."""

from typing import Any


class Clients:
    """A boto3 session's clients, each made when it is first needed.

    Args:
        session: of boto3.
        options: of every client.
    """

    def __init__(self, session: Any, **options: Any) -> None:
        self._session, self._options = session, options
        self._made: dict[str, Any] = {}

    def of(self, service: str) -> Any:
        """Return the client of a service."""
        if service not in self._made:
            self._made[service] = self._session.client(service, **self._options)
        return self._made[service]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Return what all pages of an answer have under a key."""
        pages = self.of(service).get_paginator(operation).paginate(**arguments)
        return [each for page in pages for each in page.get(key, [])]
