"""No sockets, a clock that stands still, and what several tests share."""

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

from tests.unit.api import Api
from tests.unit.fakes import NOW_MS, Clock, Wire
from tests.unit.work import Worker

# The same examples on every run and no time limit for one: a failure is a defect, never the weather.
settings.register_profile("unit", deadline=None, derandomize=True, max_examples=60, database=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def no_sockets():
    disable_socket()
    yield
    enable_socket()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_MS)


@pytest.fixture
def wire(monkeypatch) -> Wire:
    """Stand where httpx would open a connection."""
    wire = Wire()
    monkeypatch.setattr("httpx.HTTPTransport.handle_request", lambda _, request: wire.answer(request))
    return wire


@pytest.fixture
def worker(clock) -> Worker:
    return Worker(clock)


@pytest.fixture
def api(clock) -> Api:
    return Api(clock)
