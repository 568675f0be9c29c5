"""S3: the bucket of results and uploads."""

from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from backlot.errors import ImageNotFetched, ImageTooLarge

#: What S3 answers for a key that does not exist; 403 where the role may not list the bucket.
_MISSING = {"NoSuchKey", "404", "AccessDenied", "403"}


#: So many objects S3 deletes by one call.
_DELETED_AT_ONCE = 1000


class Bucket:
    """One bucket.

    Args:
        client: a boto3 S3 client.
        name: the bucket's name.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: str, max_bytes: int) -> bytes:
        """Read an object.

        Raises:
            ImageNotFetched: there is none.
            ImageTooLarge: it has more than `max_bytes` bytes.
        """
        data: bytes = self._get(key, max_bytes)["Body"].read()
        return data

    def dated(self, key: str, max_bytes: int) -> tuple[bytes, float] | None:
        """Read an object and when it was written, Unix seconds; None if there is none.

        Raises:
            ImageTooLarge: it has more than `max_bytes` bytes.
        """
        try:
            answer = self._get(key, max_bytes)
        except ImageNotFetched:
            return None
        return answer["Body"].read(), answer["LastModified"].timestamp()

    def download(self, key: str, path: Path) -> bool:
        """Write an object to a file, in parallel parts if it is large; return whether there is such an object."""
        try:
            self._client.download_file(self._name, key, str(path))
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return False
            raise
        return True

    def delete_older(self, prefix: str, before_s: int) -> int:
        """Delete objects that were written before then, Unix seconds; return how many."""
        deleted = 0
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix):
            old = [{"Key": each["Key"]} for each in page.get("Contents", []) if _written_s(each) < before_s]
            if old:
                self._client.delete_objects(Bucket=self._name, Delete={"Objects": old, "Quiet": True})
            deleted += len(old)
        return deleted

    def listed(self, prefix: str) -> list[tuple[str, int]]:
        """Return keys and sizes in bytes of the objects below a prefix, in the order of the keys."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
        return [(each["Key"], each["Size"]) for page in pages for each in page.get("Contents", [])]

    def delete(self, keys: list[str]) -> None:
        """Delete objects, whether they are there or not."""
        for first in range(0, len(keys), _DELETED_AT_ONCE):
            batch = [{"Key": key} for key in keys[first : first + _DELETED_AT_ONCE]]
            self._client.delete_objects(Bucket=self._name, Delete={"Objects": batch, "Quiet": True})

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        """Write an object."""
        self._client.put_object(
            Bucket=self._name, Key=key, Body=body, ContentType=content_type, CacheControl=cache_control
        )

    def upload(self, key: str, path: Path, *, content_type: str, cache_control: str) -> None:
        """Write a file as an object, in several parts if it is large."""
        self._client.upload_file(
            str(path), self._name, key, ExtraArgs={"ContentType": content_type, "CacheControl": cache_control}
        )

    def _get(self, key: str, max_bytes: int) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.get_object(Bucket=self._name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise ImageNotFetched(reason=f"there is no object {key}") from error
            raise
        if answer["ContentLength"] > max_bytes:
            answer["Body"].close()
            raise ImageTooLarge(reason=f"it has {answer['ContentLength']} bytes, {max_bytes} are allowed")
        return answer


def _written_s(entry: dict[str, Any]) -> float:
    return float(entry["LastModified"].timestamp())
