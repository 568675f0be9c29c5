"""The CDK app: `cdk synth -c stage=dev`; stage `local` takes the addresses of its processes from the context, too."""

from aws_cdk import App

from cdk.app import add_stage
from cdk.stages import STAGES, StageUnknown, stage_named

app = App()
try:
    stage = stage_named(app.node.try_get_context("stage"), app.node.try_get_context("local"))
except StageUnknown as error:
    raise SystemExit(f"choose a stage: -c stage={'|'.join(STAGES)} ({error})") from error
add_stage(app, stage)
app.synth()
