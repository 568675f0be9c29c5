"""Images that a request carries itself, as `data:` URLs: put into the bucket, so that only their place goes on."""

import base64
import binascii
import hashlib
import re

from backlot.assets import INLINE_PREFIX, UPLOAD_ENDINGS
from backlot.errors import ImageUnreadable

_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]*)(?:;[\w=.-]+)*;base64,", re.IGNORECASE)


class InlineImages:
    """The images of one request.

    Args:
        bucket: where they will lie.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        #: Content type and bytes by key.
        self.found: dict[str, tuple[str, bytes]] = {}

    def keep(self, url: str) -> str:
        """Decode an image, remember it to be stored, and return the `s3://` URL that it will have.

        The key follows from the content, so that the same image has the same URL.

        Raises:
            ImageUnreadable: it is not base64, or no image.
            ImageTooLarge: it has more pixels than allowed.
        """
        head = _DATA_URL.match(url)
        if head is None:
            raise ImageUnreadable(reason="its data: URL is not of the form data:image/png;base64,…")
        try:
            data = base64.b64decode(re.sub(r"\s", "", url[head.end() :]), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ImageUnreadable(reason="its data: URL is not valid base64") from error
        return self.keep_bytes(data)

    def keep_bytes(self, data: bytes) -> str:
        """Do the same with an image that came as bytes.

        Raises:
            ImageUnreadable: it is no image.
            ImageTooLarge: it has more pixels than allowed.
        """
        # Imported here, because most requests carry no image and should not wait for the decoder.
        from backlot.images.codecs import read_header  # noqa: PLC0415

        content_type = read_header(data).content_type
        key = f"{INLINE_PREFIX}{hashlib.sha256(data).hexdigest()[:40]}.{UPLOAD_ENDINGS[content_type]}"
        self.found[key] = (content_type, data)
        return f"s3://{self._bucket}/{key}"
