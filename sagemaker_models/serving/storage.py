"""Inputs from S3 and outputs to it."""

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_models.serving.errors import InvocationError, RequestFault, ServerFault
from sagemaker_models.serving.model import File
from sagemaker_models.serving.request import too_large

#: Results never change: their keys follow from the task.
CACHE_CONTROL = "public, max-age=31536000, immutable"

#: S3's codes for an object that is not there.
_ABSENT = ("NoSuchKey", "404", "NoSuchBucket")

#: How much of a large file is in memory at a time.
_PART_BYTES = 1_000_000

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"max_attempts": 3, "mode": "standard"},
    max_pool_connections=32,
)


class Storage:
    """A client of S3 with the credentials, the region and the endpoint of the environment; threads may share it."""

    def __init__(self) -> None:
        self._s3: Any = boto3.session.Session().client("s3", config=_CONFIG)

    def fetch(self, name: str, uri: str, limit_bytes: int) -> bytes:
        """Read an input.

        Raises:
            RequestFault: there is no such object, or it is longer than the limit.
            ServerFault: S3 refuses, or does not answer.
        """
        bucket, key = _parts(uri)
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key)
            with answer["Body"] as body:
                if answer["ContentLength"] > limit_bytes:
                    raise too_large(name, limit_bytes)
                return bytes(body.read())
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                raise RequestFault("ImageNotFetched", f"inputs.{name}: there is no object {uri}") from error
            raise _fault(uri, error) from error
        except (BotoCoreError, OSError) as error:
            raise _fault(uri, error) from error

    def exists(self, uri: str) -> bool:
        """Tell whether there is an object.

        Raises:
            ServerFault: S3 refuses, or does not answer.
        """
        return self.size(uri) is not None

    def size(self, uri: str) -> int | None:
        """Return how many bytes an object has; None if there is none.

        Raises:
            ServerFault: S3 refuses, or does not answer.
        """
        described = self._head(uri)
        # An answer about an empty object may come without the length.
        return None if described is None else int(described.get("ContentLength", 0))

    def version(self, uri: str) -> str | None:
        """Return what tells an object from what was there before; None if there is none.

        Raises:
            ServerFault: S3 refuses, or does not answer.
        """
        described = self._head(uri)
        return None if described is None else f"{described.get('LastModified')} {described['ETag']}"

    def _head(self, uri: str) -> dict[str, Any] | None:
        bucket, key = _parts(uri)
        try:
            found: dict[str, Any] = self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise _fault(uri, error) from error
        except (BotoCoreError, OSError) as error:
            raise _fault(uri, error) from error
        return found

    def download(self, uri: str, path: Path) -> str:
        """Write an object to the disk; return its SHA-256, in hex.

        Raises:
            ServerFault: S3 or the disk refuses, or S3 does not answer.
        """
        bucket, key = _parts(uri)
        sha256 = hashlib.sha256()
        try:
            with closing(self._s3.get_object(Bucket=bucket, Key=key)["Body"]) as body, path.open("wb") as file:
                for part in body.iter_chunks(_PART_BYTES):
                    sha256.update(part)
                    file.write(part)
        except (ClientError, BotoCoreError, OSError) as error:
            raise _fault(uri, error) from error
        return sha256.hexdigest()

    def store(self, uri: str, file: File, cache_control: str = CACHE_CONTROL) -> dict[str, Any]:
        """Write an output; return what the answer says of it.

        Raises:
            ServerFault: S3 refuses, or does not answer.
        """
        bucket, key = _parts(uri)
        try:
            self._s3.put_object(
                Bucket=bucket, Key=key, Body=file.body, ContentType=file.content_type, CacheControl=cache_control
            )
        except (ClientError, BotoCoreError, OSError) as error:
            raise _fault(uri, error) from error
        return {"url": uri, "bytes": len(file.body), "content_type": file.content_type}


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _fault(uri: str, error: Exception) -> InvocationError:
    return ServerFault("StorageUnavailable", f"{uri}: {error}")
