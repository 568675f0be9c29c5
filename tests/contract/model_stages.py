"""Stages with models that no stage of ours has, and their stacks."""

from aws_cdk import App
from aws_cdk.assertions import Template

from cdk.checkpoints import Checkpoints
from cdk.config import Stage
from cdk.model_config import HeavyModel
from cdk.stacks.models import ModelsStack
from cdk.stacks.storage import StorageStack

SHA256 = "5c" * 32

#: A model whose numbers are all different, and none is a default.
ODD = HeavyModel(
    model_class="sagemaker_models.odd.model:Odd",
    platform="cuda",
    instance_types=("ml.g5.xlarge", "ml.g6.xlarge"),
    output_prefixes=("images/odd/",),
    concurrency=7,
    parallel_runs=2,
    invocation_timeout_s=601,
    request_ttl_s=6011,
    min_instances=3,
    max_instances=11,
    backlog_per_instance=13,
    scale_in_cooldown_s=501,
    scale_out_cooldown_s=502,
    wake_after_min=4,
    wake_cooldown_s=503,
    provision_timeout_s=901,
    download_timeout_s=902,
    startup_timeout_s=903,
    inference_ami="al2023-ami-sagemaker-inference-gpu-4-1",
    alarm_failures=17,
    alarm_oldest_s=1201,
)


def stage_with(**models) -> Stage:
    return Stage(name="test", cors_origins=("https://studio.example.com",), models=models)


def checkpoints_of(stage: Stage) -> Checkpoints:
    published = {model: {"sha256": SHA256, "published_at": "2026-11-21T12:00:00Z"} for model in stage.models}
    return Checkpoints.model_validate({stage.name: published})


def models_of(stage: Stage, checkpoints: Checkpoints) -> ModelsStack:
    app = App()
    storage = StorageStack(app, "storage", stage=stage)
    return ModelsStack(app, "models", stage=stage, storage=storage, checkpoints=checkpoints.of(stage))


def published(stage: Stage) -> Template:
    return Template.from_stack(models_of(stage, checkpoints_of(stage)))
