"""The stage's bucket, as the operator's credentials reach it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from cdk.config import Stage
from cdk.names import stack_prefix
from cdk.publishing.errors import NotPublished
from cdk.publishing.weights import File, Weights

#: S3 takes 10,000 parts of a file: those of 32 MB are enough for 320 GB.
_PARTS = TransferConfig(multipart_chunksize=32_000_000)

#: Of what size a file is that one waits for, and how often one hears of it.
_LARGE_BYTES, _STEPS = 500_000_000, 20

#: Metadata of an object, by which it is known again without reading it.
_SHA256 = "sha256"


class ModelBucket:
    """The bucket, where it holds models.

    Args:
        s3: a boto3 client.
        name: the bucket's name.
    """

    def __init__(self, s3: Any, name: str) -> None:
        self._s3 = s3
        self.name = name

    @classmethod
    def of(cls, stage: Stage) -> Self:
        """Find the bucket of a deployed stage.

        Raises:
            NotPublished: there are no credentials or no region, or the stage is not deployed.
        """
        with _explained(f"the bucket of stage {stage.name} was not found"):
            cloudformation = boto3.client("cloudformation", region_name=stage.region)
            s3 = boto3.client("s3", region_name=stage.region)
        return cls(s3, bucket_name(cloudformation, stage))

    def upload(self, prefix: str, weights: Weights, say: Callable[[str], None]) -> list[str]:
        """Upload what is not there yet; return the names of those files.

        Args:
            prefix: below which key they lie; the content's hash is part of it.
            weights: on this machine.
            say: is told how far a large file is.

        Raises:
            NotPublished: S3 refuses, or the same content lies there under other names.
        """
        with _explained(f"s3://{self.name}/{prefix} was not written"):
            stored = self._names(prefix)
            strangers = sorted(stored - set(weights.files))
            if strangers:
                # The model would be given both: SageMaker takes everything below the prefix.
                raise NotPublished(f"s3://{self.name}/{prefix} holds {', '.join(strangers)} already: use these names")
            missing = [name for name, file in weights.files.items() if not self._holds(prefix + name, file)]
            for name in missing:
                file = weights.files[name]
                extra = {"Metadata": {_SHA256: file.sha256}}
                told = Progress(name, file.size_bytes, say)
                self._s3.upload_file(
                    str(file.path), self.name, prefix + name, ExtraArgs=extra, Config=_PARTS, Callback=told
                )
        return missing

    def read(self, key: str) -> bytes | None:
        """Return what a small object holds; None if there is none.

        Raises:
            NotPublished: S3 refuses.
        """
        with _explained(f"s3://{self.name}/{key} was not read"):
            try:
                body: bytes = self._s3.get_object(Bucket=self.name, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchKey":
                    return None
                raise
        return body

    def write(self, key: str, body: bytes) -> None:
        """Write a small JSON object.

        Raises:
            NotPublished: S3 refuses.
        """
        with _explained(f"s3://{self.name}/{key} was not written"):
            self._s3.put_object(
                Bucket=self.name, Key=key, Body=body, ContentType="application/json", CacheControl="no-store"
            )

    def delete(self, key: str) -> None:
        """Delete an object, if there is one.

        Raises:
            NotPublished: S3 refuses.
        """
        with _explained(f"s3://{self.name}/{key} was not deleted"):
            self._s3.delete_object(Bucket=self.name, Key=key)

    def _names(self, prefix: str) -> set[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {each["Key"].removeprefix(prefix) for page in pages for each in page.get("Contents", [])}

    def _holds(self, key: str, file: File) -> bool:
        try:
            stored = self._s3.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return False
            raise
        return (stored["ContentLength"], stored["Metadata"].get(_SHA256)) == (file.size_bytes, file.sha256)


class Progress:
    """Tells how far a large file is; boto3's threads call it with the bytes that each has sent.

    Args:
        name: of the file.
        size_bytes: of the file.
        say: is told each twentieth, unless the file is small.
    """

    def __init__(self, name: str, size_bytes: int, say: Callable[[str], None]) -> None:
        self._name, self._size_bytes, self._say = name, size_bytes, say
        self._sent_bytes = 0
        self._lock = threading.Lock()

    def __call__(self, sent_bytes: int) -> None:
        """Note that more was sent; fewer if a part is sent again."""
        if self._size_bytes < _LARGE_BYTES:
            return
        with self._lock:
            before = self._sent_bytes * _STEPS // self._size_bytes
            self._sent_bytes += sent_bytes
            if self._sent_bytes * _STEPS // self._size_bytes > before:
                self._say(f"{self._name}: {self._sent_bytes / 1e9:.1f} of {self._size_bytes / 1e9:.1f} GB")


def bucket_name(cloudformation: Any, stage: Stage) -> str:
    """Return the name of a deployed stage's bucket.

    Raises:
        NotPublished: the stage is not deployed, or CloudFormation cannot be asked.
    """
    stack = f"{stack_prefix(stage)}storage"
    with _explained(f"the stack {stack} cannot be looked at"):
        try:
            (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                raise NotPublished(f"there is no stack {stack}: make deploy STAGE={stage.name} first") from error
            raise
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
    if "BucketName" not in outputs:
        raise NotPublished(f"the stack {stack} is {described['StackStatus']} and has no bucket")
    return str(outputs["BucketName"])


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, NoRegionError) as error:
        raise NotPublished(f"{what}: no credentials or no region for AWS; set AWS_PROFILE or the like") from error
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise NotPublished(f"{what}: {error}") from error
