"""What the doctor asks an AWS account, and this machine."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


class Unreachable(Exception):
    """AWS cannot be asked at all: no credentials, no region or no network; the message is a sentence."""


class Unanswered(Exception):
    """AWS does not answer one question, because the credentials may not ask it, say; the message is a sentence."""


@dataclass(frozen=True)
class Quota:
    """A quota of Service Quotas.

    Args:
        service: its code there.
        code: of the quota.
        name: of the quota.
        value: what the account has.
    """

    service: str
    code: str
    name: str
    value: float


SecretState = Literal["set", "empty", "missing", "deleted"]


class Account(Protocol):
    """An AWS account in one region; every method raises `Unreachable` and `Unanswered`."""

    @property
    def number(self) -> str:
        """Return the account's number."""

    @property
    def region(self) -> str:
        """Return the region."""

    def bootstrap_version(self) -> int | None:
        """Return the version of the CDK's bootstrap stack; None if there is none."""

    def stacks(self, prefix: str) -> Mapping[str, str]:
        """Return the status of each stack whose name begins so."""

    def quota(self, service: str, code: str) -> Quota:
        """Return a quota."""

    def quotas(self, service: str, names: Collection[str]) -> Mapping[str, Quota]:
        """Return the quotas of these names, by name; those that there are not are left out."""

    def lambda_concurrency(self) -> int:
        """Return how many functions may run at once in the account."""

    def vcpus(self, instance_types: Collection[str]) -> Mapping[str, int]:
        """Return the vCPUs of instance types, by type; those that the region does not know are left out."""

    def zones(self, instance_types: Collection[str]) -> Mapping[str, Collection[str]]:
        """Return in which availability zones each instance type is offered."""

    def vpcs(self) -> int:
        """Return how many VPCs there are."""

    def has_role(self, name: str) -> bool:
        """Tell whether there is a role."""

    def secret(self, name: str) -> SecretState:
        """Return whether a secret is there and has a value."""

    def has_bucket(self, name: str) -> bool:
        """Tell whether there is a bucket."""

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table."""

    def sizes(self, bucket: str, prefix: str) -> Mapping[str, int]:
        """Return the sizes of the objects below a prefix, bytes, by key."""


@dataclass(frozen=True)
class Machine:
    """The machine that deploys.

    Args:
        node: version of Node.js, such as `22.11.0`; None if there is none.
        docker: whether its daemon answers.
        cdk: whether the CDK's command is installed.
    """

    node: str | None
    docker: bool
    cdk: bool
