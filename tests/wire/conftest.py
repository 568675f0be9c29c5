"""An Internet of our own on loopback, and the providers' stand-ins."""

import asyncio
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
import trustme
from aiohttp import web

from backlot.addresses import is_public
from backlot.image_urls import ImageUrlPolicy
from backlot.providers import fetch, pinned
from local.stand_ins.application import application
from tests.wire.hosts import Host, Script

#: Loopback addresses that count as public here, and one that does not.
PUBLIC, OTHER, PRIVATE = "127.1.0.1", "127.1.0.2", "127.0.0.1"
_PUBLIC_NETWORK = ipaddress.ip_network("127.1.0.0/16")

_AUTHORITY = trustme.CA()


@cache
def certificate(name: str, authority: trustme.CA = _AUTHORITY, **options: Any) -> ssl.SSLContext:
    """Return what a server of this name shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(context)
    return context


@cache
def trust() -> ssl.SSLContext:
    """Return a client's settings: our authority is the only one."""
    context = ssl.create_default_context()
    _AUTHORITY.configure_trust(context)
    return context


class Internet:
    """Names, addresses and hosts, as an image fetcher meets them.

    A name's resolver answers come in the order in which they were given, the last one for ever.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._resolve_really = socket.getaddrinfo
        self._answers: dict[str, list[list[str] | OSError]] = {}
        self.hosts: list[Host] = []
        self._listed: set[str] = set()
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)
        monkeypatch.setattr(pinned, "is_public", lambda address: address in _PUBLIC_NETWORK or is_public(address))

    def name(self, name: str, *answers: list[str] | OSError) -> None:
        """Let a name resolve to these lists of addresses, one after the other."""
        self._answers[name] = list(answers)

    def host(
        self,
        script: Script,
        name: str = "pictures.example",
        *,
        address: str = PUBLIC,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        reads_head: bool = True,
    ) -> Host:
        """Start a host with a name and, unless another is given, a certificate for it."""
        host = Host(script, address=address, port=port, tls=tls or certificate(name), reads_head=reads_head)
        self.hosts.append(host)
        self._answers.setdefault(name, [[address]])
        return host

    def plain_host(self, script: Script, name: str, *, address: str = PRIVATE, listed: bool = True) -> Host:
        """Start a host without TLS, as a stage may list it."""
        host = Host(script, address=address)
        self.hosts.append(host)
        self._answers.setdefault(name, [[address]])
        if listed:
            self._listed.add(f"{name}:{host.port}")
        return host

    def get(self, url: str, *, verify: ssl.SSLContext | None = None, **options: Any) -> bytes:
        """Fetch a URL, or a path of the host that was started last."""
        if url.startswith("/"):
            url = f"https://pictures.example:{self.hosts[-1].port}{url}"
        policy = ImageUrlPolicy("assets", "https://cdn.example.net", frozenset(self._listed))
        return fetch.ImageFetcher(policy, verify=verify or trust(), **options).fetch(url)

    def serve(self, script: Script, **options: Any) -> bytes:
        """Start a host with a script and fetch a picture from it."""
        self.host(script)
        return self.get("/picture", **options)

    def close(self) -> None:
        for host in self.hosts:
            host.close()

    def _resolve(self, host: str, port: int, *options: Any, **named: Any) -> list[Any]:
        if host not in self._answers:
            return self._resolve_really(host, port, *options, **named)
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(addresses, OSError):
            raise addresses
        return [entry for each in addresses for entry in self._resolve_really(each, port, *options, **named)]


@pytest.fixture
def internet(monkeypatch) -> Iterator[Internet]:
    internet = Internet(monkeypatch)
    yield internet
    internet.close()


@pytest.fixture
def hasty(monkeypatch) -> None:
    """Let a fetch last 0.7 s, and a single read 0.3 s."""
    monkeypatch.setattr(fetch, "TOTAL_S", 0.7)
    monkeypatch.setattr(fetch, "IDLE_S", 0.3)


class StandIns:
    """The providers' stand-ins behind a real socket, with a look at what they are sent."""

    dashscope_key, ark_key = "sk-dashscope", "ark-key"

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.bodies: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)
        self._http = httpx.Client(base_url=self.origin, trust_env=False)

    def fault(self, provider: str, **fault: Any) -> None:
        """Let the next call of a provider go wrong."""
        self._http.put(f"/_faults/{provider}", json=[fault]).raise_for_status()

    def calls(self) -> dict[str, int]:
        return self._http.get("/_calls").json()

    def forget(self) -> None:
        self._http.delete("/_calls").raise_for_status()
        self.bodies.clear()

    def close(self) -> None:
        self._http.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        app = application(self.dashscope_key, self.ark_key, "fal-key", "secret", self.origin)
        app.middlewares.append(self._look)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.SockSite(runner, self._socket).start())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    @web.middleware
    async def _look(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "POST":
            self.bodies.append(json.loads(await request.text()))
        return await handler(request)


@pytest.fixture(scope="session")
def all_stand_ins() -> Iterator[StandIns]:
    stand_ins = StandIns()
    yield stand_ins
    stand_ins.close()


@pytest.fixture
def stand_ins(all_stand_ins) -> StandIns:
    all_stand_ins.forget()
    return all_stand_ins


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold these tests to warnings as errors, an unclosed socket among them, and to a time of their own."""
    for item in items:
        if "tests/wire/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("error"))
            item.add_marker(pytest.mark.timeout(30, func_only=True))


@pytest.fixture
def unused_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
