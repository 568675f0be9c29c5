"""What `make doctor` knows of the templates: held against them."""

import json

from cdk.doctor.content import providers
from cdk.doctor.deployment import BOOTSTRAP_VERSION
from cdk.names import bucket_name, idempotency_name, secrets_prefix, task_store_name


def test_bootstrap_version_is_what_the_stacks_need(assembly):
    artifacts = json.loads((assembly.folder / "manifest.json").read_text())["artifacts"].values()
    needed = {
        artifact["properties"]["requiresBootstrapStackVersion"]
        for artifact in artifacts
        if "requiresBootstrapStackVersion" in artifact.get("properties", {})
    }
    assert max(needed) == BOOTSTRAP_VERSION


def test_names_are_those_of_the_templates(assembly):
    def plain(name):
        parts = name["Fn::Join"][1] if isinstance(name, dict) else [name]
        known = {"AWS::AccountId": "1", "AWS::Region": "us-east-1"}
        return "".join(known[part["Ref"]] if isinstance(part, dict) else part for part in parts)

    stage = assembly.stage
    buckets = [plain(each["Properties"]["BucketName"]) for each in assembly.resources("AWS::S3::Bucket").values()]
    tables = {each["Properties"]["TableName"] for each in assembly.resources("AWS::DynamoDB::Table").values()}
    secrets = {each["Properties"]["Name"] for each in assembly.resources("AWS::SecretsManager::Secret").values()}
    assert buckets == [bucket_name(stage, "1", "us-east-1")]
    assert tables == {task_store_name(stage), idempotency_name(stage)}
    assert secrets - {secrets_prefix(stage) + "webhooks"} == {secrets_prefix(stage) + name for name in providers(stage)}
