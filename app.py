"""The CDK app: `cdk synth -c stage=dev`; stage `local` takes the addresses of its processes from the context, too."""

import json

from aws_cdk import App

from cdk.app import add_stage
from cdk.config import DEV, PROD, Stage, local_stage


def chosen_stage(app: App) -> Stage:
    """Return the stage that the context names.

    Raises:
        SystemExit: there is none of this name.
    """
    name = app.node.try_get_context("stage")
    if name == "local":
        return local_stage(**json.loads(app.node.try_get_context("local")))
    stages = {stage.name: stage for stage in (DEV, PROD)}
    if name not in stages:
        raise SystemExit(f"choose a stage: -c stage={'|'.join(stages)} (got {name!r})")
    return stages[name]


app = App()
add_stage(app, chosen_stage(app))
app.synth()
