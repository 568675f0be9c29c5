"""Fetches images from URLs that strangers choose, without letting them reach what is not public.

Every URL of a redirect chain is checked, every name is resolved here, every address is checked, and the connection
goes to exactly the address that was checked. Bytes and pixels are limited while they arrive.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from backlot.addresses import is_public, literal_address
from backlot.errors import ImageHostUnavailable, ImageNotFetched, ImageTooLarge, ImageUnreadable, ImageUrlRefused
from backlot.image_urls import ImageUrlPolicy
from backlot.images.codecs import MAX_IMAGE_BYTES, read_header

#: Redirects followed before it is called a loop; browsers allow 20, image hosts need 1 or 2.
MAX_REDIRECTS = 5

#: The whole fetch, redirects included, seconds; a single read or connect, seconds.
TOTAL_S = 30.0
IDLE_S = 10.0

#: At these many bytes the header is looked at, so that a huge picture is refused before it is downloaded.
_HEADER_LOOKS = (4_096, 65_536, 524_288)

_REDIRECTS = (301, 302, 303, 307, 308)


class _PinnedBackend(httpcore.NetworkBackend):
    """Resolves a name once, refuses addresses that are not public, and connects to the checked address."""

    def __init__(self, policy: ImageUrlPolicy) -> None:
        self._policy = policy
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        if not self._policy.is_insecure(host, port):
            for address in addresses:
                parsed = literal_address(address)
                if parsed is None or not is_public(parsed):
                    raise ImageUrlRefused(reason=f"{host} resolves to an address that is not public")
        return self._connect(addresses, port, timeout, local_address, socket_options)

    def _connect(self, addresses: list[str], port: int, *options: Any) -> httpcore.NetworkStream:
        """Try the checked addresses in the resolver's order; a host may answer on IPv4 only."""
        *others, last = addresses
        for address in others:
            try:
                return self._sockets.connect_tcp(address, port, *options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._sockets.connect_tcp(last, port, *options)

    @staticmethod
    def _resolve(host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise ImageNotFetched(reason=f"the name {host} cannot be resolved") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class ImageFetcher:
    """Fetches one file at a time.

    Args:
        policy: which URLs are allowed.
        max_bytes: largest body.
        verify: TLS settings; the default trusts the public authorities.
    """

    def __init__(
        self, policy: ImageUrlPolicy, *, max_bytes: int = MAX_IMAGE_BYTES, verify: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        self._max_bytes = max_bytes
        self._verify = verify or httpx.create_ssl_context()

    def fetch(self, url: str) -> bytes:
        """Fetch an image.

        Args:
            url: http or https; checked here again, whoever checked it before.

        Returns:
            The body, at most `max_bytes` bytes, whose header was recognised as an image of an allowed size.

        Raises:
            ImageUrlRefused: the URL, a redirect or a resolved address is not allowed.
            ImageNotFetched: no such name, a redirect loop, or a status that will not change.
            ImageHostUnavailable: no connection, a broken one, a time-out, or a status of 429 or 5xx.
            ImageTooLarge: more bytes or pixels than allowed.
            ImageUnreadable: the body is not an image.
        """
        deadline = time.monotonic() + TOTAL_S
        with httpcore.ConnectionPool(
            ssl_context=self._verify, network_backend=_PinnedBackend(self._policy), max_keepalive_connections=0
        ) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                self._policy.check(url)
                body = self._get(pool, url, deadline)
                if isinstance(body, bytes):
                    return body
                url = body
        raise ImageNotFetched(reason=f"it is redirected more than {MAX_REDIRECTS} times")

    def _get(self, pool: httpcore.ConnectionPool, url: str, deadline: float) -> bytes | str:
        """Send one request; return the body, or the URL of a redirect."""
        limit = min(IDLE_S, max(deadline - time.monotonic(), 0.1))
        timeouts = {"connect": limit, "read": limit, "write": limit, "pool": limit}
        try:
            parsed = httpx.URL(url)
            headers: dict[bytes | str, bytes | str] = {
                "Host": parsed.netloc.decode("ascii"),
                "User-Agent": "Backlot/1 (image fetch)",
                "Accept": "image/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
            target = httpcore.URL(
                scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
            )
            with pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as response:
                return self._read(response, parsed, deadline)
        except httpx.InvalidURL as error:
            raise ImageUrlRefused(reason="it is not a well-formed URL") from error
        except httpcore.UnsupportedProtocol as error:
            raise ImageUrlRefused(reason="its scheme is not http or https") from error
        except httpcore.TimeoutException as error:
            raise ImageHostUnavailable(reason=f"no answer within {IDLE_S:.0f} s") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
            raise ImageHostUnavailable(reason=f"the connection failed ({str(error)[:120]})") from error

    def _read(self, response: httpcore.Response, url: httpx.URL, deadline: float) -> bytes | str:
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _REDIRECTS:
            if b"location" not in headers:
                raise ImageNotFetched(reason=f"HTTP {response.status} without a place to go")
            return str(url.join(headers[b"location"]))
        if response.status == 429 or response.status >= 500:
            raise ImageHostUnavailable(reason=f"HTTP {response.status}")
        if response.status != 200:
            raise ImageNotFetched(reason=f"HTTP {response.status}")
        if headers.get(b"content-encoding", "identity").lower() not in ("", "identity"):
            raise ImageUnreadable(reason="the host compressed it although it was asked not to")
        declared = headers.get(b"content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise ImageTooLarge(reason=f"it has {declared} bytes, {self._max_bytes} are allowed")
        return self._collect(response.iter_stream(), deadline)

    def _collect(self, chunks: Iterator[bytes], deadline: float) -> bytes:
        body = bytearray()
        looks = list(_HEADER_LOOKS)
        for chunk in chunks:
            body += chunk
            if len(body) > self._max_bytes:
                raise ImageTooLarge(reason=f"it has more than {self._max_bytes} bytes")
            if time.monotonic() > deadline:
                raise ImageHostUnavailable(reason=f"not complete after {TOTAL_S:.0f} s")
            if looks and len(body) >= looks[0]:
                del looks[0]
                _look_ahead(bytes(body))
        read_header(bytes(body))
        return bytes(body)


def _look_ahead(beginning: bytes) -> None:
    """Refuse a picture of too many pixels as soon as its header is here; an incomplete header says nothing."""
    try:
        read_header(beginning)
    except ImageUnreadable:
        return
