"""Clients of AWS services: made here, so that nothing outside this package imports boto3."""

from functools import cached_property
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

#: What a call of AWS raises that did not succeed, however often it was tried.
AWS_ERRORS = (Boto3Error, BotoCoreError, ClientError)


def client(service: str) -> Any:
    """Return a client of a service, with the credentials, the region and the endpoint of the environment.

    Args:
        service: as boto3 calls it: `dynamodb`, `stepfunctions`.
    """
    return boto3.client(service)


class ClientWhenNeeded:
    """A client that is made when it is first used, so that a cold start does not pay for what few requests need.

    Args:
        service: as boto3 calls it.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    @cached_property
    def _client(self) -> Any:
        return client(self._service)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def unrepeated_client(service: str) -> Any:
    """Return a client that sends every request once: those that are not idempotent are repeated by nobody but us."""
    return boto3.client(service, config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=30))


def patient_client(service: str) -> Any:
    """Return a client for a process that lives on: used by many threads, and patient with a network that is cut."""
    retries = {"total_max_attempts": 8, "mode": "standard"}
    config = Config(retries=retries, connect_timeout=3, read_timeout=30, max_pool_connections=32)
    return boto3.client(service, config=config)


def s3_client(origin: str = "") -> Any:
    """Return a client of S3 whose presigned forms are accepted in every region.

    Args:
        origin: that forms name and requests go to; empty for S3's own.
    """
    style = {"s3": {"addressing_style": "path"}} if origin else {}
    return boto3.client("s3", endpoint_url=origin or None, config=Config(signature_version="s3v4", **style))
