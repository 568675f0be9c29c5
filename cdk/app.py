"""The app: one stage, its stacks."""

from aws_cdk import App, Environment, Tags

from backlot.operations import Lane
from cdk.checkpoints import Checkpoints
from cdk.config import Stage
from cdk.gpu_models import Manifest
from cdk.names import stack_prefix
from cdk.stacks.api import ApiStack
from cdk.stacks.gpu import GpuStack
from cdk.stacks.models import ModelsStack
from cdk.stacks.observability import ObservabilityStack
from cdk.stacks.storage import StorageStack
from cdk.stacks.work import WorkStack


def add_stage(app: App, stage: Stage, checkpoints: Checkpoints | None = None, manifest: Manifest | None = None) -> None:
    """Add a stage's stacks to an app.

    Args:
        app: gets them.
        stage: of the deployment.
        checkpoints: published checkpoints of models; None for those of `cdk/checkpoints.json`.
        manifest: models of the GPU lane; None for `containers/comfyui/models.yaml`.
    """
    published = (Checkpoints.read() if checkpoints is None else checkpoints).of(stage)
    env = Environment(account=stage.account, region=stage.region)

    def named(name: str) -> str:
        return stack_prefix(stage) + name

    storage = StorageStack(app, named("storage"), stage=stage, env=env, description="Backlot: results and records")
    models = ModelsStack(
        app,
        named("models"),
        stage=stage,
        storage=storage,
        checkpoints=published,
        env=env,
        description="Backlot: models of our own",
    )
    work = WorkStack(
        app, named("work"), stage=stage, storage=storage, models=models, env=env, description="Backlot: the lanes"
    )
    gpu = GpuStack(
        app,
        named("gpu"),
        stage=stage,
        storage=storage,
        work=work,
        manifest=Manifest.read() if manifest is None else manifest,
        env=env,
        description="Backlot: the GPU lane",
    )
    api = ApiStack(
        app,
        named("api"),
        stage=stage,
        storage=storage,
        work=work,
        closed_lanes=() if gpu.is_open else (Lane.GPU,),
        closed_models=models.closed,
        env=env,
        description="Backlot: the API",
    )
    ObservabilityStack(
        app,
        named("observability"),
        stage=stage,
        work=work,
        api=api,
        models=models,
        gpu=gpu,
        env=env,
        description="Backlot: alarms, dashboard",
    )
    Tags.of(app).add("app", "backlot")
    Tags.of(app).add("stage", stage.name)
