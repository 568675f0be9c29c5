"""What the URL of an image may be, and which of them name objects of our own bucket."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from backlot.addresses import is_public, literal_address
from backlot.errors import ImageUrlRefused

#: Longest URL that is accepted; presigned S3 URLs with a session token have about 1 800 characters.
MAX_URL_CHARS = 8192

#: Longest key of an object, bytes in UTF-8. Source: S3's naming rules, read 2026-11-20.
MAX_KEY_BYTES = 1024

#: Keys that a caller may name as input: results of ours, and what was uploaded for us.
READABLE_PREFIXES = ("images/", "portraits/", "seedream/", "uploads/")

#: Names that mean this host or this network wherever they are resolved.
_LOCAL_NAME = re.compile(r"(^|\.)(localhost|localdomain|local|internal|intranet|lan|home\.arpa)$")

#: Space, control characters and the backslash, which parsers read in different ways.
_ILLEGAL = re.compile(r"[\x00-\x20\x7f\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class ImageUrlPolicy:
    """Decides about the text of a URL; what a name resolves to is decided where it is fetched.

    Args:
        bucket: name of this deployment's bucket.
        cdn_base_url: where the CDN serves the bucket, without a trailing slash.
        insecure_hosts: `host:port` of hosts that may be fetched by plain http and from private addresses.
    """

    bucket: str = ""
    cdn_base_url: str = ""
    insecure_hosts: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, bucket: str, cdn_base_url: str, insecure_hosts: str) -> Self:
        """Make a policy from settings, where hosts are separated by commas."""
        return cls(bucket, cdn_base_url, frozenset(filter(None, insecure_hosts.split(","))))

    def check(self, url: str) -> None:
        """Refuse a URL that must not be fetched whatever its name resolves to.

        Raises:
            ImageUrlRefused: it is malformed, too long, of another scheme, has a user, names a foreign bucket, or a host
                that is local or not public.
        """
        if url.startswith("s3:") or self.is_cdn(url):
            self._check_form(url)
            self._check_own(url)
        else:
            self.check_foreign(url)

    def check_foreign(self, url: str) -> None:
        """Refuse a URL of a host that is not ours, if it must not be reached whatever its name resolves to.

        Raises:
            ImageUrlRefused: as for `check`.
        """
        parts, port = self._check_form(url)
        if parts.scheme not in ("http", "https"):
            raise ImageUrlRefused(reason=f"the scheme {parts.scheme!r} is not https or s3")
        if not parts.hostname:
            raise ImageUrlRefused(reason="it names no host")
        if parts.username is not None or parts.password is not None:
            raise ImageUrlRefused(reason="it contains a user name or password")
        if self.is_insecure(parts.hostname, port or {"http": 80, "https": 443}[parts.scheme]):
            return
        if parts.scheme == "http":
            raise ImageUrlRefused(reason="plain http is not allowed; use https")
        self._check_host(parts.hostname)

    @staticmethod
    def _check_form(url: str) -> tuple[SplitResult, int | None]:
        """Return the URL's parts and its port."""
        if not url or len(url) > MAX_URL_CHARS:
            raise ImageUrlRefused(reason=f"it has {len(url)} characters; 1 to {MAX_URL_CHARS} are allowed")
        if _ILLEGAL.search(url):
            raise ImageUrlRefused(reason="it contains a space, a control character or a backslash")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ImageUrlRefused(reason="it is not a well-formed URL") from error
        return parts, port

    def is_insecure(self, host: str, port: int) -> bool:
        """Tell whether the stage's configuration lists this host for plain http and private addresses."""
        return f"{host}:{port}" in self.insecure_hosts

    def is_cdn(self, url: str) -> bool:
        """Tell whether the URL lies under this deployment's CDN."""
        return bool(self.cdn_base_url) and url.startswith(self.cdn_base_url + "/")

    def own_key(self, url: str) -> str | None:
        """Return the object key that an s3:// URL of our bucket or a URL of our CDN names, else None."""
        if self.bucket and url.startswith(f"s3://{self.bucket}/"):
            return unquote(url.removeprefix(f"s3://{self.bucket}/"))
        if self.is_cdn(url):
            return unquote(urlsplit(url).path.removeprefix(urlsplit(self.cdn_base_url).path).removeprefix("/"))
        return None

    def url(self, key: str) -> str:
        """Return the CDN's URL of an object."""
        return f"{self.cdn_base_url}/{quote(key)}"

    def _check_own(self, url: str) -> None:
        key = self.own_key(url)
        if key is None:
            raise ImageUrlRefused(reason=f"only s3://{self.bucket}/ can be read")
        if not key.startswith(READABLE_PREFIXES):
            raise ImageUrlRefused(reason=f"keys of this bucket begin with {', '.join(READABLE_PREFIXES)}")
        if ".." in key.split("/"):
            raise ImageUrlRefused(reason="the key contains a '..' segment")
        if _CONTROL.search(key) or len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES:
            raise ImageUrlRefused(reason=f"keys have no control characters and at most {MAX_KEY_BYTES} bytes")

    def _check_host(self, host: str) -> None:
        address = literal_address(host)
        if address is not None and not is_public(address):
            raise ImageUrlRefused(reason=f"{host} is not a public address")
        if address is None and (_LOCAL_NAME.search(host.rstrip(".").lower()) or "." not in host.strip(".")):
            raise ImageUrlRefused(reason=f"{host} is a local name")
