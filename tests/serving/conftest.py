"""Model servers for tests: one shared echo, and others that are ended with their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.serving.servers import Server
from tests.wire.apps import Aws


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    aws = Aws()
    yield aws
    aws.close()


@pytest.fixture(scope="session")
def echo(aws, tmp_path_factory) -> Iterator[Server]:
    """Return a server that every test may use, and that no test may end."""
    server = Server(
        "Echo",
        tmp_path_factory.mktemp("echo"),
        env=aws.environment,
        max_body_bytes=400_000,
        max_input_bytes=200_000,
        max_concurrent=2,
    )
    yield server.until_ready()
    server.close()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Server]]:
    """Start servers of the test's own."""
    servers: list[Server] = []

    def start_server(model: str, **settings: Any) -> Server:
        servers.append(Server(model, tmp_path, **settings))
        return servers[-1]

    yield start_server
    for server in servers:
        server.close()
