"""The AWS account, as the operator's credentials reach it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection

from cdk.clients import Clients
from cdk.config import Stage
from cdk.doctor.port import Quota, SecretState, Unanswered, Unreachable

#: With these, no question is answered.
_NO_WAY_IN = (
    CredentialRetrievalError,
    HTTPClientError,
    NoConnection,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_BAD_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "SignatureDoesNotMatch"}

_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})


class AwsAccount:
    """One region of an account.

    Args:
        session: a boto3 session.
    """

    def __init__(self, session: Any) -> None:
        self._clients = Clients(session, config=_CONFIG)
        with _explained("who the credentials are of"):
            self.number = str(self._clients.of("sts").get_caller_identity()["Account"])
            self.region = str(self._clients.of("sts").meta.region_name)

    @classmethod
    def of(cls, stage: Stage) -> "AwsAccount":
        """Find the account that the credentials are of, in the stage's region."""
        with _explained("who the credentials are of"):
            return cls(boto3.Session(region_name=stage.region))

    def bootstrap_version(self) -> int | None:
        """Return the version of the CDK's bootstrap stack; None if there is none."""
        name = "/cdk-bootstrap/hnb659fds/version"
        found = self._found("the parameter " + name, lambda: self._clients.of("ssm").get_parameter(Name=name))
        return None if found is None else int(found["Parameter"]["Value"])

    def stacks(self, prefix: str) -> Mapping[str, str]:
        """Return the status of each stack whose name begins so."""
        with _explained("the stacks"):
            found = self._clients.pages("cloudformation", "describe_stacks", "Stacks")
        return {each["StackName"]: each["StackStatus"] for each in found if each["StackName"].startswith(prefix)}

    def quota(self, service: str, code: str) -> Quota:
        """Return a quota; what nobody has ever asked to be raised has AWS' own value."""
        client, asked = self._clients.of("service-quotas"), {"ServiceCode": service, "QuotaCode": code}
        what = f"the quota {code} of {service}"
        answer = self._found(what, lambda: client.get_service_quota(**asked))
        if answer is None:
            with _explained(what):
                answer = client.get_aws_default_service_quota(**asked)
        return _quota(service, answer["Quota"])

    def quotas(self, service: str, names: Collection[str]) -> Mapping[str, Quota]:
        """Return the quotas of these names, by name; those that there are not are left out."""
        found: dict[str, Quota] = {}
        with _explained(f"the quotas of {service}"):
            for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
                listed = self._clients.pages("service-quotas", operation, "Quotas", ServiceCode=service)
                found |= {each["QuotaName"]: _quota(service, each) for each in listed if each["QuotaName"] in names}
        return found

    def lambda_concurrency(self) -> int:
        """Return how many functions may run at once in the account."""
        with _explained("Lambda's settings of the account"):
            return int(self._clients.of("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"])

    def vcpus(self, instance_types: Collection[str]) -> Mapping[str, int]:
        """Return the vCPUs of instance types, by type; those that the region does not know are left out."""
        asked = [{"Name": "instance-type", "Values": list(instance_types)}]
        with _explained("the instance types"):
            found = self._clients.pages("ec2", "describe_instance_types", "InstanceTypes", Filters=asked)
        return {each["InstanceType"]: each["VCpuInfo"]["DefaultVCpus"] for each in found}

    def zones(self, instance_types: Collection[str]) -> Mapping[str, Collection[str]]:
        """Return in which availability zones each instance type is offered."""
        asked = [{"Name": "instance-type", "Values": list(instance_types)}]
        with _explained("where instance types are offered"):
            found = self._clients.pages(
                "ec2",
                "describe_instance_type_offerings",
                "InstanceTypeOfferings",
                LocationType="availability-zone",
                Filters=asked,
            )
        zones: dict[str, set[str]] = {name: set() for name in instance_types}
        for each in found:
            zones[each["InstanceType"]].add(each["Location"])
        return zones

    def vpcs(self) -> int:
        """Return how many VPCs there are."""
        with _explained("the VPCs"):
            return len(self._clients.pages("ec2", "describe_vpcs", "Vpcs"))

    def has_role(self, name: str) -> bool:
        """Tell whether there is a role."""
        return self._found(f"the role {name}", lambda: self._clients.of("iam").get_role(RoleName=name)) is not None

    def secret(self, name: str) -> SecretState:
        """Return whether a secret is there and has a value."""
        client = self._clients.of("secretsmanager")
        found = self._found(f"the secret {name}", lambda: client.describe_secret(SecretId=name))
        if found is None:
            return "missing"
        if "DeletedDate" in found:
            return "deleted"
        versions = found.get("VersionIdsToStages", {}).values()
        return "set" if any("AWSCURRENT" in stages for stages in versions) else "empty"

    def has_bucket(self, name: str) -> bool:
        """Tell whether there is a bucket."""
        return self._found(f"the bucket {name}", lambda: self._clients.of("s3").head_bucket(Bucket=name)) is not None

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table."""
        client = self._clients.of("dynamodb")
        return self._found(f"the table {name}", lambda: client.describe_table(TableName=name)) is not None

    def sizes(self, bucket: str, prefix: str) -> Mapping[str, int]:
        """Return the sizes of the objects below a prefix, bytes, by key."""
        with _explained(f"s3://{bucket}/{prefix}"):
            found = self._clients.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
        return {each["Key"]: each["Size"] for each in found}

    def _found(self, what: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Ask for one thing; return None if there is no such thing."""
        with _explained(what):
            try:
                return ask()
            except ClientError as error:
                if error.response["Error"]["Code"] in _ABSENT:
                    return None
                raise


_ABSENT = {
    "404",
    "NoSuchBucket",
    "NoSuchEntity",
    "NoSuchResourceException",
    "ParameterNotFound",
    "ResourceNotFoundException",
}


def _quota(service: str, found: dict[str, Any]) -> Quota:
    return Quota(service, found["QuotaCode"], found["QuotaName"], found["Value"])


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except _NO_WAY_IN as error:
        raise Unreachable(f"{error}") from error
    except ClientError as error:
        if error.response["Error"]["Code"] in _BAD_CREDENTIALS:
            raise Unreachable(f"{error}") from error
        raise Unanswered(f"{what}: {error}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise Unanswered(f"{what}: {error}") from error
