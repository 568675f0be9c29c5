"""On AWS, a secret that a template makes without a value has no version, and reading it says so.

MiniStack gives it a version with an empty text, so that a missing key looks like one that is set.
"""

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners


def apply() -> None:
    """Take the empty version away."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create = handler["create"]

    def created(logical_id, props, stack_name, *rest):
        result = create(logical_id, props, stack_name, *rest)
        if not props.get("SecretString") and not props.get("GenerateSecretString"):
            secretsmanager._secrets[result[0]]["Versions"] = {}
        return result

    handler["create"] = created
