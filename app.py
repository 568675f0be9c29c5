"""The CDK app: `cdk synth -c stage=dev`; stage `local` takes the addresses of its processes from the context, too."""

from aws_cdk import App

from cdk.app import add_stage
from cdk.stages import StageUnknown, stage_named

app = App()
try:
    stage = stage_named(app.node.try_get_context("stage"), app.node.try_get_context("local"))
except StageUnknown as error:
    raise SystemExit(f"{error}, with -c stage=…") from error
add_stage(app, stage)
app.synth()
