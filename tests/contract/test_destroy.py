"""What `make destroy` knows of the stacks: held against them."""

import json

from cdk.destroy.things import ORDER, Resource, can_be_kept
from cdk.names import stack_prefix


def test_stacks_are_deleted_before_those_that_they_use(assembly):
    prefix = stack_prefix(assembly.stage)
    artifacts = json.loads((assembly.folder / "manifest.json").read_text())["artifacts"]
    stacks = {
        name.removeprefix(prefix): {each.removeprefix(prefix) for each in artifact.get("dependencies", [])}
        for name, artifact in artifacts.items()
        if artifact["type"] == "aws:cloudformation:stack"
    }
    assert stacks.keys() == assembly.templates.keys()
    assert stacks.keys() <= set(ORDER)
    for stack, used in stacks.items():
        assert all(ORDER.index(stack) < ORDER.index(each) for each in used & stacks.keys()), stack


def test_what_outlives_its_stack_is_told(assembly):
    kept = [
        Resource(resource["Type"], name)
        for template in assembly.templates.values()
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in {"Retain", "RetainExceptOnCreate", "Snapshot"}
    ]
    assert [each for each in kept if not can_be_kept(each, assembly.stage)] == []
    assert bool({"AWS::S3::Bucket", "AWS::DynamoDB::Table"} & {each.kind for each in kept}) is assembly.stage.keep_data
