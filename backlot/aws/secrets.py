"""Secrets Manager: the providers' API keys, one secret each."""

import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from backlot.errors import ProviderRefused

#: How long a key is kept in memory, seconds; a new one is used after that.
KEEP_S = 300

#: Visible ASCII: what a bearer token may consist of, and more.
_SENDABLE = re.compile(r"[!-~]+")


class ProviderKeys:
    """The API keys of the paid APIs.

    Args:
        client: a boto3 Secrets Manager client.
        prefix: a key's secret is called `<prefix><provider>`.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        # Imported here, because the API asks only whether keys are set, and should not start slower for it.
        from aws_lambda_powertools.utilities.parameters import SecretsProvider  # noqa: PLC0415

        self._prefix = prefix
        self._values = SecretsProvider(boto3_client=client)

    def key(self, provider: str) -> str:
        """Return a provider's key.

        Raises:
            ProviderRefused: the operator has not set it, or to something that no header can carry; the HTTP client
                would say so only after the call was noted as paid, and repeat the key in its error.
        """
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError  # noqa: PLC0415

        try:
            value = self._values.get(self._prefix + provider, max_age=KEEP_S)
        except GetParameterError as error:
            if _is_missing(error.__cause__ or error.__context__):
                raise ProviderRefused(provider=provider, reason=f"{variable(provider)} is not set") from error
            raise
        if not isinstance(value, str) or not value.strip():
            raise ProviderRefused(provider=provider, reason=f"{variable(provider)} is empty")
        if not _SENDABLE.fullmatch(value.strip()):
            raise ProviderRefused(provider=provider, reason=f"{variable(provider)} has characters that no key has")
        return value.strip()


class WebhookSecret:
    """The secret from which the signing keys of webhooks are made; the deployment generated it.

    Args:
        client: a boto3 Secrets Manager client.
        name: of the secret.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def value(self) -> str:
        """Return it."""
        return str(self._client.get_secret_value(SecretId=self._name)["SecretString"])


class ProviderKeyStatus:
    """Tells which keys are set, from the secrets' descriptions alone.

    Args:
        client: a boto3 Secrets Manager client.
        prefix: a key's secret is called `<prefix><provider>`.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def is_set(self, provider: str) -> bool | None:
        """Tell whether a provider's secret has a value; None if Secrets Manager cannot be asked."""
        try:
            described = self._client.describe_secret(SecretId=self._prefix + provider)
        except (ClientError, BotoCoreError) as error:
            return False if _is_missing(error) else None
        return any("AWSCURRENT" in stages for stages in described.get("VersionIdsToStages", {}).values())


#: Keys that people know by another name than their provider's.
_VARIABLES = {"fal": "FAL_KEY", "mask-assets": "MASK_COMPONENT_SECRET"}


def variable(provider: str) -> str:
    """Return the name under which people know a provider's key: `dashscope` → `DASHSCOPE_API_KEY`."""
    return _VARIABLES.get(provider, f"{provider.upper()}_API_KEY")


#: No such secret, or none with a value; and what a role hears of a secret that does not exist, because its policy names
#: secrets with the six characters at their end.
_MISSING = ("ResourceNotFoundException", "AccessDeniedException")


def _is_missing(error: BaseException | None) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _MISSING
