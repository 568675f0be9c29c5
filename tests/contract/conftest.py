"""Templates of every stage, synthesised once, with cdk-nag's AwsSolutions pack looking on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from cdk.app import add_stage
from cdk.checkpoints import Checkpoints
from cdk.config import DEV, PROD, Stage, local_stage
from cdk.gpu_models import Manifest, PublishedFile
from cdk.packaging import ROOT, host_platform

LOCAL = local_stage(
    front_door="http://localhost:20000",
    stand_ins="http://localhost:20001",
    python=host_platform().python,
    architecture=host_platform().architecture,
)

#: As if every model were published in every stage.
PUBLISHED = Checkpoints.model_validate(
    {
        stage.name: {model: {"sha256": "5c" * 32, "published_at": "2026-11-21T12:00:00Z"} for model in stage.models}
        for stage in (DEV, PROD)
    }
)

#: As if every model of the GPU lane were published in every stage.
PUBLISHED_GPU = Manifest.read()
for stage in (DEV, PROD):
    for number, model in enumerate(PUBLISHED_GPU.root, start=1):
        published = PublishedFile(size_bytes=number * 10**9, sha256=f"{number:064x}")
        PUBLISHED_GPU = PUBLISHED_GPU.with_file(stage.name, model.name, published)

STAGES = {stage.name: stage for stage in (LOCAL, DEV, PROD)}


@dataclass(frozen=True)
class Assembly:
    """A synthesised stage."""

    stage: Stage
    folder: Path
    templates: dict[str, dict[str, Any]]

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a type, by stack and logical id."""
        return {
            f"{stack}/{name}": resource
            for stack, template in self.templates.items()
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        }

    def functions(self) -> dict[str, dict[str, Any]]:
        """Return the properties of our functions, by the folder of their code."""
        return {
            resource["Properties"]["Handler"].split(".")[1]: resource["Properties"]
            for resource in self.resources("AWS::Lambda::Function").values()
            if "lambdas." in resource["Properties"]["Handler"]
        }

    def statements(self) -> Iterator[tuple[str, list[str], Any]]:
        """Return each policy's statements: its name, the actions, the resources."""
        for name, policy in self.resources("AWS::IAM::Policy").items():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                yield name, [actions] if isinstance(actions, str) else actions, statement["Resource"]

    def actions_of(self, part: str) -> dict[str, str]:
        """Return the actions that the policies of a role grant, with their resources as text."""
        return {
            action: json.dumps(resources)
            for name, actions, resources in self.statements()
            if part in name
            for action in actions
        }


@pytest.fixture(scope="session")
def context() -> dict[str, Any]:
    return json.loads((ROOT / "cdk.json").read_text())["context"]


def synthesise(
    stage: Stage, checkpoints: Checkpoints, outdir: Path, context: dict[str, Any], manifest: Manifest = PUBLISHED_GPU
) -> Assembly:
    app = App(outdir=str(outdir), context=context)
    add_stage(app, stage, checkpoints, manifest)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    folder = Path(app.synth().directory)
    templates = {
        path.name.split(".")[0].removeprefix(f"backlot-{stage.name}-"): json.loads(path.read_text())
        for path in folder.glob("*.template.json")
    }
    return Assembly(stage, folder, templates)


@pytest.fixture(scope="session", params=STAGES)
def assembly(request, tmp_path_factory, context) -> Assembly:
    stage = STAGES[request.param]
    return synthesise(stage, PUBLISHED, tmp_path_factory.mktemp(stage.name), context)
