"""The functions: their settings, their code, and the layer."""

import json
import sys

import pytest

from cdk.config import Platform
from cdk.packaging import host_platform, layer_directory
from lambdas.deliver_webhook.settings import Settings as DeliverWebhookSettings
from lambdas.invoke_model.settings import Settings as InvokeModelSettings
from lambdas.measure_gpu_lane.settings import Settings as MeasureGpuLaneSettings
from lambdas.receive_model_result.settings import Settings as ReceiveModelResultSettings
from lambdas.receive_provider_result.settings import Settings as ReceiveProviderResultSettings
from lambdas.run_paid_step.settings import Settings as RunPaidStepSettings
from lambdas.serve_api.settings import Settings as ServeApiSettings
from lambdas.settle_execution.settings import Settings as SettleExecutionSettings
from lambdas.sweep_stalled.settings import Settings as SweepStalledSettings

SETTINGS = {
    "deliver_webhook": DeliverWebhookSettings,
    "serve_api": ServeApiSettings,
    "run_paid_step": RunPaidStepSettings,
    "invoke_model": InvokeModelSettings,
    "measure_gpu_lane": MeasureGpuLaneSettings,
    "receive_model_result": ReceiveModelResultSettings,
    "receive_provider_result": ReceiveProviderResultSettings,
    "settle_execution": SettleExecutionSettings,
    "sweep_stalled": SweepStalledSettings,
}

#: Functions that measure what the emulator does not have.
ON_AWS_ONLY = {"measure_gpu_lane"}

#: Variables of Powertools, which every function has.
POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL", "POWERTOOLS_TRACE_DISABLED"}

#: Limits of AWS, see the services' quotas pages (read 2026-11-20).
MAX_ENVIRONMENT_BYTES, MAX_LAYER_MB, MAX_UNZIPPED_MB = 4_096, 60, 250


def test_every_function_is_known(assembly):
    assert set(assembly.functions()) == set(SETTINGS) - (ON_AWS_ONLY if assembly.stage.emulated else set())


def test_environments_have_exactly_the_variables_of_the_settings(assembly):
    for name, function in assembly.functions().items():
        variables = function["Environment"]["Variables"]
        endpoints = {key for key in variables if key.startswith("AWS_ENDPOINT_URL_")}
        assert not endpoints or assembly.stage.emulated
        assert set(variables) - POWERTOOLS - endpoints == SETTINGS[name].variables(), name


def test_literals_of_environments_satisfy_the_settings(assembly):
    for name, function in assembly.functions().items():
        variables = function["Environment"]["Variables"]
        literal = {
            key: value if isinstance(value, str) else "https://resolved.example.com" for key, value in variables.items()
        }
        SETTINGS[name].model_validate(literal)


def test_environments_fit_into_lambdas_limit(assembly):
    for name, function in assembly.functions().items():
        assert len(json.dumps(function["Environment"]["Variables"])) < MAX_ENVIRONMENT_BYTES, name


def test_functions_run_on_the_stages_platform(assembly):
    platform = assembly.stage.platform
    for name, function in assembly.functions().items():
        assert function["Runtime"] == f"python{platform.python}", name
        assert function["Architectures"] == [platform.architecture], name


def test_code_of_a_function_is_ours_alone(assembly):
    for resource in assembly.resources("AWS::Lambda::Function").values():
        properties = resource["Properties"]
        if "lambdas." not in properties["Handler"]:
            continue
        asset = assembly.folder / f"asset.{properties['Code']['S3Key'].removesuffix('.zip')}"
        name = properties["Handler"].split(".")[1]
        top = {path.relative_to(asset).parts[:2] for path in asset.rglob("*.py")}
        assert {parts[0] for parts in top} == {"backlot", "lambdas"}
        assert (asset / "backlot" / "comfyui" / "object_info.json").exists()
        assert {parts[1] for parts in top if parts[0] == "lambdas"} == {"__init__.py", name}
        # As in the layer: byte code of the Python that will run it, or none.
        sources = {path.relative_to(asset).with_suffix("") for path in asset.rglob("*.py")}
        compiled = {path.parent.parent / path.name.partition(".")[0] for path in asset.rglob("*.pyc")}
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert {path.relative_to(asset) for path in compiled} == (
            sources if assembly.stage.platform.python == running else set()
        )


@pytest.mark.parametrize("where", ["aws", "host"])
def test_layer_is_within_its_size(where):
    folder = layer_directory(Platform() if where == "aws" else host_platform())
    size_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    assert size_mb <= MAX_LAYER_MB < MAX_UNZIPPED_MB


@pytest.mark.parametrize("platform", [Platform(), host_platform()], ids=["aws", "local"])
def test_layer_holds_byte_code_only_of_the_python_that_will_run_it(platform):
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    compiled = any(layer_directory(platform).rglob("*.pyc"))

    assert compiled == (platform.python == running)


def test_byte_code_of_the_layer_is_never_checked_against_its_source():
    folder = layer_directory(host_platform()) / "python"
    sources = [path for path in folder.rglob("*.py") if path.stat().st_size]
    flags = [int.from_bytes(path.read_bytes()[4:8], "little") for path in folder.rglob("*.pyc")]

    assert len(flags) >= len(sources)
    assert set(flags) == {0b01}  # PEP 552: made from a hash of the source, which is not checked


def test_layer_holds_no_boto3():
    folder = layer_directory(Platform()) / "python"
    assert not (folder / "boto3").exists()
    assert (folder / "pydantic_core").exists()
