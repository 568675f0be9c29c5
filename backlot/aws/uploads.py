"""Uploads: presigned forms with which a client puts an image into the bucket itself, and images of requests."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

#: How long a form can be used, seconds, and a link.
FORM_LIFE_S, LINK_LIFE_S = 900, 300


class Uploads:
    """Takes images in.

    Args:
        make_client: makes a boto3 S3 client of an origin, or of S3's own if it is empty; called when first needed.
        bucket: the bucket's name.
        base_url: origin that forms name.
    """

    def __init__(self, make_client: Callable[[str], Any], bucket: str, base_url: str) -> None:
        self._make_client = make_client
        self._bucket = bucket
        self._base_url = base_url

    @cached_property
    def _forms(self) -> Any:
        return self._make_client(self._base_url)

    @cached_property
    def _objects(self) -> Any:
        return self._make_client("")

    def form(self, key: str, *, content_type: str, size_bytes: int) -> dict[str, Any]:
        """Return `url` and `fields` of a form that takes exactly this type and number of bytes."""
        form: dict[str, Any] = self._forms.generate_presigned_post(
            Bucket=self._bucket,
            Key=key,
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", size_bytes, size_bytes]],
            ExpiresIn=FORM_LIFE_S,
        )
        return form

    def link(self, key: str) -> str:
        """Return a URL that reads an object for `LINK_LIFE_S`."""
        wanted = {"Bucket": self._bucket, "Key": key}
        url: str = self._forms.generate_presigned_url("get_object", Params=wanted, ExpiresIn=LINK_LIFE_S)
        return url

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        """Write an image that came with a request."""
        self._objects.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
