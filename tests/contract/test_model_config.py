"""What a stage may say of its models, and which checkpoints are published."""

import json

import boto3
import pytest
from aws_cdk.assertions import Match

from cdk.checkpoints import CHECKPOINTS, Checkpoints
from cdk.config import DEV, PROD
from cdk.model_config import HeavyModel, LightModel
from cdk.names import endpoint_name
from cdk.packaging import ROOT
from tests.contract.model_stages import ODD, SHA256, checkpoints_of, published, stage_with


def test_file_of_checkpoints_names_models_that_there_are():
    checkpoints = Checkpoints.read(CHECKPOINTS)
    assert set(checkpoints.root) == {"dev", "prod"}
    for stage in (DEV, PROD):
        assert set(checkpoints.of(stage)) <= set(stage.models)


def test_checkpoint_of_a_model_that_the_stage_does_not_have_is_refused():
    with pytest.raises(ValueError, match="models that stage dev does not have: odd"):
        checkpoints_of(DEV.model_copy(update={"models": {"odd": ODD}})).of(DEV)


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"sha256": "5c" * 31, "published_at": "2026-11-21T12:00:00Z"},
        {"sha256": "5C" * 32, "published_at": "2026-11-21T12:00:00Z"},
        {"sha256": SHA256, "published_at": "2026-11-21T12:00:00"},
        {"sha256": SHA256},
        {"sha256": SHA256, "published_at": "2026-11-21T12:00:00Z", "by": "me"},
    ],
)
def test_checkpoint_that_is_not_well_formed_is_refused(checkpoint):
    with pytest.raises(ValueError, match="validation error"):
        Checkpoints.model_validate({"dev": {"schp": checkpoint}})


@pytest.mark.parametrize(
    ("kind", "concurrency", "invocation_timeout_s"), [(HeavyModel, 3, 1800), (LightModel, 20, 300)]
)
def test_kind_of_model_decides_concurrency_and_time_limit(kind, concurrency, invocation_timeout_s):
    given = {"model_class": ODD.model_class, "output_prefixes": ("images/odd/",), "backlog_per_instance": 1}
    model = kind(**given, platform="cpu", instance_types=("ml.c7i.xlarge",))
    assert (model.concurrency, model.invocation_timeout_s) == (concurrency, invocation_timeout_s)


@pytest.mark.parametrize(
    ("model", "kind", "concurrency", "invocation_timeout_s"),
    [
        ("schp", "light", 20, 300),
        ("segment", "light", 20, 300),
        ("qwen-edit", "heavy", 3, 1800),
        ("flux", "heavy", 3, 1800),
    ],
)
def test_model_has_the_bounds_of_its_kind_and_sleeps(assembly, model, kind, concurrency, invocation_timeout_s):
    config = assembly.stage.models[model]
    assert (config.kind, config.concurrency, config.invocation_timeout_s) == (kind, concurrency, invocation_timeout_s)
    # A click is waited for: prod pays for one instance that is awake.
    assert config.min_instances == (1 if model == "segment" and assembly.stage.name != "dev" else 0)


def test_models_names_and_instances_are_ones_that_sagemaker_knows(assembly):
    shapes = boto3.client("sagemaker", region_name="us-east-1").meta.service_model
    types = set(shapes.shape_for("ProductionVariantInstanceType").enum)
    images = set(shapes.shape_for("ProductionVariantInferenceAmiVersion").enum)
    longest = shapes.shape_for("EndpointName").metadata["max"]
    for name, model in assembly.stage.models.items():
        assert set(model.instance_types) <= types
        assert model.inference_ami is None or model.inference_ami in images
        assert len(endpoint_name(assembly.stage, name)) <= longest


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"instance_types": ()}, "at least 1 item"),
        ({"instance_types": tuple(f"ml.g5.{count}xlarge" for count in range(6))}, "at most 5 items"),
        ({"instance_types": ("g5.xlarge",)}, "no instance type of SageMaker's"),
        ({"instance_types": ("ml.g5.xlarge", "ml.g5.xlarge")}, "names a type twice"),
        ({"instance_types": ("ml.c7i.xlarge",)}, "platform cuda does not fit ml.c7i.xlarge"),
        ({"instance_types": ("ml.inf2.xlarge",)}, "built for x86_64 and NVIDIA"),
        ({"instance_types": ("ml.c7g.xlarge",)}, "built for x86_64 and NVIDIA"),
        ({"platform": "cpu"}, "platform cpu does not fit ml.g5.xlarge"),
        ({"platform": "cpu", "instance_types": ("ml.c7i.xlarge",)}, "inference_ami picks a GPU's driver"),
        ({"inference_ami": None}, "the driver is older than torch's CUDA; take al2023"),
        ({"volume_gb": 100}, "ml.g5.xlarge has disks of its own"),
        ({"min_instances": 12}, "min_instances 12 is above max_instances 11"),
        ({"parallel_runs": 8}, "parallel_runs 8 is above concurrency 7"),
        ({"alarm_oldest_s": 6011}, "rings after requests have expired"),
        ({"concurrency": 1001}, "less than or equal to 1000"),
        ({"invocation_timeout_s": 3601}, "less than or equal to 3600"),
        ({"request_ttl_s": 21_601}, "less than or equal to 21600"),
        ({"provision_timeout_s": 299}, "greater than or equal to 300"),
        ({"model_class": "sagemaker_models.odd.model"}, "should match pattern"),
    ],
)
def test_model_that_cannot_work_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        HeavyModel(**{**ODD.model_dump(), **changed})


@pytest.mark.parametrize("name", ["Schp", "schp_2", "a" * 31, "-schp", ""])
def test_model_whose_name_no_endpoint_can_have_is_refused(name):
    with pytest.raises(ValueError, match=r"models\."):
        stage_with(**{name: ODD})


def test_volume_is_given_where_an_instance_has_no_disk():
    model = HeavyModel(
        **{
            **ODD.model_dump(exclude={"inference_ami"}),
            "platform": "cpu",
            "instance_types": ("ml.c7i.xlarge",),
            "volume_gb": 33,
        }
    )
    published(stage_with(odd=model)).has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {"ProductionVariants": [Match.object_like({"VolumeSizeInGB": 33})]},
    )


def test_step_outlasts_the_longest_request_of_a_model(assembly):
    shared = json.loads((ROOT / "stepfunctions" / "_shared.json").read_text())
    longest_s = max(model.request_ttl_s + model.invocation_timeout_s for model in assembly.stage.models.values())
    assert longest_s < shared["Work"]["TimeoutSeconds"]
