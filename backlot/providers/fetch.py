"""Fetches images from URLs that strangers choose, without letting them reach what is not public.

Every URL of a redirect chain is checked, every name is resolved here, every address is checked, and the connection
goes to exactly the address that was checked. Bytes and pixels are limited while they arrive.
"""

import ssl
from collections.abc import Iterator

import httpcore
import httpx

from backlot.assets import MAX_IMAGE_BYTES
from backlot.errors import ImageHostUnavailable, ImageNotFetched, ImageTooLarge, ImageUnreadable, ImageUrlRefused
from backlot.image_urls import ImageUrlPolicy
from backlot.images.codecs import read_header
from backlot.providers.pinned import AddressRefused, Deadline, HostRefused, HostUnavailable, PinnedBackend

#: Redirects followed before it is called a loop; browsers allow 20, image hosts need 1 or 2.
MAX_REDIRECTS = 5

#: The whole fetch, redirects included, seconds; a single read or connect, seconds. The resolver has a limit of its own.
TOTAL_S = 30.0
IDLE_S = 10.0

#: At these many bytes the header is looked at, so that a huge picture is refused before it is downloaded.
_HEADER_LOOKS = (4_096, 65_536, 524_288)

_REDIRECTS = (301, 302, 303, 307, 308)

#: Statuses below 500 that say "later": request time-out, too early, too many requests.
_LATER = (408, 425, 429)


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
            ImageNotFetched: no such name, a certificate that is not valid, a redirect loop, or a status that will not
                change.
            ImageHostUnavailable: no answer of the resolver, no connection, a broken one, a time-out, or a status of
                408, 425, 429 or 5xx.
            ImageTooLarge: more bytes or pixels than allowed.
            ImageUnreadable: the body is not an image.
        """
        deadline = Deadline(TOTAL_S)
        with httpcore.ConnectionPool(
            ssl_context=self._verify,
            network_backend=PinnedBackend(self._policy, deadline),
            max_keepalive_connections=0,
        ) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                if deadline.is_over:
                    raise _too_slow(deadline)
                self._policy.check(url)
                body = self._get(pool, url, deadline)
                if isinstance(body, bytes):
                    return body
                url = body
        raise ImageNotFetched(reason=f"it is redirected more than {MAX_REDIRECTS} times")

    def _get(self, pool: httpcore.ConnectionPool, url: str, deadline: Deadline) -> bytes | str:
        """Send one request; return the body, or the URL of a redirect."""
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), IDLE_S)
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
                return self._read(response, parsed)
        except AddressRefused as error:
            raise ImageUrlRefused(reason=str(error)) from error
        except HostRefused as error:
            raise ImageNotFetched(reason=str(error)) from error
        except HostUnavailable as error:
            raise ImageHostUnavailable(reason=str(error)) from error
        except httpx.InvalidURL as error:
            raise ImageUrlRefused(reason="it is not a well-formed URL") from error
        except httpcore.UnsupportedProtocol as error:
            raise ImageUrlRefused(reason="its scheme is not http or https") from error
        except httpcore.TimeoutException as error:
            raise _too_slow(deadline) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise ImageHostUnavailable(reason=f"the connection failed ({str(error)[:120]})") from error

    def _read(self, response: httpcore.Response, url: httpx.URL) -> bytes | str:
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _REDIRECTS:
            if b"location" not in headers:
                raise ImageNotFetched(reason=f"HTTP {response.status} without a place to go")
            return str(url.join(_location(response)))
        if response.status in _LATER or response.status >= 500:
            raise ImageHostUnavailable(reason=f"HTTP {response.status}")
        if response.status != 200:
            raise ImageNotFetched(reason=f"HTTP {response.status}")
        if headers.get(b"content-encoding", "identity").lower() not in ("", "identity"):
            raise ImageUnreadable(reason="the host compressed it although it was asked not to")
        declared = headers.get(b"content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise ImageTooLarge(reason=f"it has {declared} bytes, {self._max_bytes} are allowed")
        return self._collect(response.iter_stream())

    def _collect(self, chunks: Iterator[bytes]) -> bytes:
        body = bytearray()
        looks = list(_HEADER_LOOKS)
        for chunk in chunks:
            body += chunk
            if len(body) > self._max_bytes:
                raise ImageTooLarge(reason=f"it has more than {self._max_bytes} bytes")
            if looks and len(body) >= looks[0]:
                del looks[0]
                _look_ahead(bytes(body))
        data = bytes(body)
        read_header(data)
        return data


def _too_slow(deadline: Deadline) -> ImageHostUnavailable:
    """Say which of the two limits was reached."""
    if deadline.is_over:
        return ImageHostUnavailable(reason=f"not complete after {deadline.total_s:g} s")
    return ImageHostUnavailable(reason=f"no answer within {IDLE_S:g} s")


def _look_ahead(beginning: bytes) -> None:
    """Refuse a picture of too many pixels as soon as its header is here; an incomplete header says nothing."""
    try:
        read_header(beginning)
    except ImageUnreadable:
        return


def _location(response: httpcore.Response) -> str:
    """Read where a redirect goes; hosts write other letters than ASCII as UTF-8, old ones as Latin-1."""
    value = next(value for name, value in response.headers if name.lower() == b"location")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
