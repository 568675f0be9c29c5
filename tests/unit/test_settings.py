"""Settings: read in one place, checked at the start."""

import json
import re

import pytest
from pydantic import ValidationError

from backlot.settings import starts_from_snapshot
from lambdas.deliver_webhook.settings import Settings as WebhookSettings
from lambdas.invoke_model.settings import Settings as AskerSettings
from lambdas.receive_model_result.settings import Settings as HearerSettings
from lambdas.receive_provider_result.settings import Settings as ReceiverSettings
from lambdas.run_paid_step.settings import Settings as WorkerSettings
from lambdas.serve_api.settings import Settings as ApiSettings
from lambdas.settle_execution.settings import Settings as SettlerSettings
from lambdas.sweep_stalled.settings import Settings as SweeperSettings
from tests.unit.api import ENVIRONMENT

WORKER = {
    "TASK_STORE": "task_store",
    "IDEMPOTENCY_TABLE": "task_idempotency",
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/cpu_tasks_queue",
    "BUCKET": "assets",
    "CDN_BASE_URL": "https://cdn.example.com",
    "INSECURE_HOSTS": "",
    "PROVIDER_SECRETS_PREFIX": "backlot/dev/",
    "TASK_DAYS": "30",
    "RATE_LIMITS": '{"ark": {"requests_per_minute": 60, "concurrent": 5}}',
    "DASHSCOPE_BASE_URL": "https://dashscope.example/v1",
    "QWEN_VL_MODEL": "qwen3-vl-plus",
    "DASHSCOPE_LIMIT_S": "60",
    "ARK_BASE_URL": "https://ark.example/v3",
    "SEEDREAM_MODEL": "ep-1",
    "ARK_LIMIT_S": "90",
    "FAL_BASE_URL": "https://queue.fal.example",
    "FAL_CALL_LIMIT_S": "30",
    "PORTRAIT_MODEL": "fal-ai/flux-pulid",
    "HARMONIZE_MODEL": "fal-ai/flux/dev/image-to-image",
    "PUBLIC_URL_PARAMETER": "/backlot/dev/public-url",
    "JOB_FIRST_LOOK_S": "15.0",
    "JOB_LIMIT_S": "900",
    "MASK_ASSETS_URL": "https://masks.example/upload",
}
SWEEPER = {
    "TASK_STORE": "task_store",
    "STATE_MACHINE_PREFIX": "arn:aws:states:us-east-1:1:stateMachine:backlot-dev-",
    "DEAD_LETTER_QUEUE_URLS": "https://sqs.us-east-1.amazonaws.com/1/cpu_tasks_dlq",
    "BUCKET": "assets",
    "IDEMPOTENCY_TABLE": "task_idempotency",
    "MODEL_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/model_tasks_queue.fifo",
    "TASK_DAYS": "30",
}
SETTLER = {name: SWEEPER[name] for name in ("TASK_STORE", "IDEMPOTENCY_TABLE", "STATE_MACHINE_PREFIX")}
HEARER = {
    "TASK_STORE": "task_store",
    "IDEMPOTENCY_TABLE": "task_idempotency",
    "BUCKET": "assets",
    "CDN_BASE_URL": "https://cdn.example.com",
    "INSECURE_HOSTS": "",
    "TASK_DAYS": "30",
    "MODEL_ENDPOINTS": '{"schp": {"name": "e", "request_ttl_s": 3600, "invocation_timeout_s": 300}}',
}
RECEIVER = {
    "IDEMPOTENCY_TABLE": "task_idempotency",
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/cpu_tasks_queue",
    "TASK_DAYS": "30",
    "FAL_JWKS_URL": "https://rest.fal.example/jwks.json",
}
COMPLETE = {
    WorkerSettings: WORKER,
    ApiSettings: ENVIRONMENT,
    SettlerSettings: SETTLER,
    ReceiverSettings: RECEIVER,
    WebhookSettings: {"TASK_STORE": "t", "INSECURE_HOSTS": "", "WEBHOOK_SECRET": "backlot/dev/webhooks"},
    SweeperSettings: SWEEPER,
    HearerSettings: HEARER,
    AskerSettings: HEARER | {"QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/model_tasks_queue.fifo"},
}


@pytest.mark.parametrize("settings", COMPLETE)
def test_settings_are_read_from_variables_of_their_names(settings, monkeypatch):
    for name, value in COMPLETE[settings].items():
        monkeypatch.setenv(name, value)

    read = settings.from_environment()

    assert settings.variables() == set(COMPLETE[settings])
    said = {name.upper(): json.dumps(value) for name, value in read.model_dump(mode="json").items()}
    assert said == {
        name: json.dumps(float(value)) if name.endswith("_S") else _as_json(value)
        for name, value in COMPLETE[settings].items()
    }


def _as_json(value: str) -> str:
    return value if re.fullmatch(r"\d+|\{.*\}|\[.*\]|true|false", value) else json.dumps(value)


@pytest.mark.parametrize(
    ("settings", "missing"), [(settings, name) for settings, complete in COMPLETE.items() for name in complete]
)
def test_settings_without_a_variable_name_it(settings, missing):
    with pytest.raises(ValidationError, match=missing):
        settings.model_validate({name: value for name, value in COMPLETE[settings].items() if name != missing})


@pytest.mark.parametrize(
    ("settings", "name", "allowed", "refused"),
    [
        (WorkerSettings, "TASK_DAYS", ["1", "3650"], ["0", "3651", "x"]),
        (ApiSettings, "TASK_DAYS", ["1", "3650"], ["0", "3651", "x"]),
        (WorkerSettings, "DASHSCOPE_LIMIT_S", ["0.1", "300"], ["0", "-1", "300.1", "nan"]),
        (WorkerSettings, "ARK_LIMIT_S", ["0.1", "600"], ["0", "-1", "600.1", "inf"]),
        (WorkerSettings, "CDN_BASE_URL", ["http://localhost:1", "https://a.example/cdn"], ["a.example", "https://a/"]),
        (ApiSettings, "CDN_BASE_URL", ["http://localhost:1"], ["s3://a", "https://a.example/"]),
        (WorkerSettings, "QWEN_VL_MODEL", ["qwen3-vl-flash"], ["qwen2.5-vl-72b", "qwen-vl-max", ""]),
        (WorkerSettings, "SEEDREAM_MODEL", ["x"], [""]),
        (WorkerSettings, "ARK_BASE_URL", ["http://localhost:1"], ["ark.example", "ftp://ark.example"]),
        (WorkerSettings, "DASHSCOPE_BASE_URL", ["http://localhost:1"], ["dashscope.example"]),
    ],
)
def test_settings_hold_their_bounds(settings, name, allowed, refused):
    for value in allowed:
        settings.model_validate(COMPLETE[settings] | {name: value})
    for value in refused:
        with pytest.raises(ValidationError, match=name):
            settings.model_validate(COMPLETE[settings] | {name: value})


def test_settings_cannot_be_changed():
    settings = SettlerSettings.model_validate(SETTLER)
    with pytest.raises(ValidationError, match="frozen"):
        settings.task_store = "another"


@pytest.mark.parametrize(("kind", "is_snapshot"), [("snap-start", True), ("on-demand", False), (None, False)])
def test_start_is_from_a_snapshot_if_lambda_says_so(monkeypatch, kind, is_snapshot):
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    if kind:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    assert starts_from_snapshot() is is_snapshot
