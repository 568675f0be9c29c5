"""Connections to hosts that strangers name, which reach nothing that is not public.

A name is resolved once, every address that it has is checked, and the connection goes to exactly the address that was
checked. No operation on it goes beyond a deadline.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from backlot.addresses import is_public, literal_address
from backlot.image_urls import ImageUrlPolicy

#: What a resolver answers when it could not find out, rather than that there is no such name.
_RESOLVER_FAILED = (socket.EAI_AGAIN, socket.EAI_MEMORY, socket.EAI_SYSTEM)


class AddressRefused(Exception):
    """A name resolves to an address that must not be reached."""


class HostRefused(Exception):
    """There is no such name, or its host's certificate is not valid; that will not change by itself."""


class HostUnavailable(Exception):
    """The resolver could not find out; it may later."""


class Deadline:
    """The moment at which a fetch is over.

    Time-outs of single reads do not end a fetch whose host sends a byte now and then, and a host can do that before
    any byte of a body is seen: in headers, in interim answers, between chunks. So every operation on the connection is
    cut to what is left.
    """

    def __init__(self, total_s: float) -> None:
        self._until = time.monotonic() + total_s
        self.total_s = total_s

    @property
    def is_over(self) -> bool:
        """Whether the moment has come."""
        return time.monotonic() >= self._until

    def cut(self, timeout: float | None) -> float:
        """Return how long an operation may take; httpcore's TimeoutException if there is no time left."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if timeout is None else min(timeout, left)


class _TimedStream(httpcore.NetworkStream):
    """A connection on which no operation goes beyond a deadline.

    A certificate that is not valid will not be so in a minute either; here is where it can be told from other failures.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.cut(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.cut(timeout))
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                words = error.__cause__.verify_message
                raise HostRefused(f"its host's certificate is not valid ({words})") from error
            raise
        except httpcore.ReadTimeout:
            self.close()
            raise
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore.NetworkBackend):
    """Resolves a name once, refuses addresses that are not public, and connects to the checked address."""

    def __init__(self, policy: ImageUrlPolicy, deadline: Deadline) -> None:
        self._policy = policy
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check and connect.

        Raises:
            AddressRefused: one of the name's addresses is not public.
            HostRefused: there is no such name.
            HostUnavailable: the resolver could not find out.
        """
        addresses = self._resolve(host, port)
        if not self._policy.is_insecure(host, port):
            for address in addresses:
                parsed = literal_address(address)
                if parsed is None or not is_public(parsed):
                    raise AddressRefused(f"{host} resolves to an address that is not public")
        return _TimedStream(self._connect(addresses, port, timeout, local_address, socket_options), self._deadline)

    def _connect(self, addresses: list[str], port: int, timeout: float | None, *options: Any) -> httpcore.NetworkStream:
        """Try the checked addresses in the resolver's order; a host may answer on IPv4 only."""
        *others, last = addresses
        for address in others:
            try:
                return self._sockets.connect_tcp(address, port, self._deadline.cut(timeout), *options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._sockets.connect_tcp(last, port, self._deadline.cut(timeout), *options)

    @staticmethod
    def _resolve(host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            if isinstance(error, socket.gaierror) and error.errno in _RESOLVER_FAILED:
                raise HostUnavailable(f"the name {host} cannot be resolved at the moment") from error
            raise HostRefused(f"the name {host} cannot be resolved") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))
