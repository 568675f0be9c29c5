"""The model servers of local mode: the real server for each model, with a real checkpoint if the shell names one."""

import json
import sys
import time
from hashlib import sha256
from pathlib import Path

import httpx

from backlot.assets import MODEL_FAILURE_PREFIX, MODEL_RESULT_PREFIX
from cdk.config import Stage, local_stage
from cdk.model_environment import server_settings
from cdk.names import bucket_name, endpoint_name
from local.deployment import Outputs, context
from local.environment import checkpoint_folder
from local.place import ACCOUNT, REGION, ROOT, Place
from local.processes import Background, NotStarted, stamp_of

#: What stands in for each model of stage `local` while the shell names no checkpoint of it.
STAND_INS = {
    "schp": "local.stand_ins.body_parts:BodyParts",
    "segment": "local.stand_ins.segments:Segments",
    "qwen-edit": "local.stand_ins.masked_edits:MaskedEdits",
    "flux": "local.stand_ins.own_portraits:OwnPortraits",
}

#: What a server is made of; another one is started when it changes.
SOURCES = ("sagemaker_models", "local/stand_ins", "backlot/images", "backlot/errors.py", "backlot/settings.py")

#: How often a server looks whether it is to release its memory, seconds: whoever waits here is a person or a test.
RELEASE_LOOK_S = 2

#: The models' own environment, see `make models`.
MODELS_PYTHON = ROOT / ".build" / "models" / "bin" / "python"


def model_server(place: Place, name: str) -> Background:
    """Return the process of a model's server."""
    return Background(place, f"model-server-{name}")


def start_model_server(place: Place, name: str) -> None:
    """Start a model's server unless it runs as it should; does not wait until it has loaded.

    Raises:
        local.processes.NotStarted: a checkpoint is named that cannot be served.
    """
    process, weights = model_server(place, name), checkpoint_folder(weights_variable(name))
    stage = _stage(place)
    variables = {
        **place.client_environment,
        **server_settings(stage, name, bucket_name(stage, ACCOUNT, REGION)),
        **({"MODEL_CLASS": STAND_INS[name]} if weights is None else {}),
        "WEIGHTS_FOLDER": str(weights or place.run),
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(place.ports.of_model(name)),
        "RELEASE_LOOK_S": str(RELEASE_LOOK_S),
        "STAND_INS_URL": place.stand_ins,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    stamp = f"{stamp_of(*SOURCES)}-{sha256(json.dumps(variables).encode()).hexdigest()}"
    if process.is_made_of(stamp):
        return
    process.stop()
    python = sys.executable if weights is None else str(_models_python(name, weights))
    process.start([python, "-m", "sagemaker_models.serving", "serve"], variables, stamp)


def await_model_server(place: Place, name: str) -> None:
    """Wait until a model's server has loaded its model.

    Raises:
        local.processes.NotStarted: it ended, or did not load in time.
    """
    process, limit_s = model_server(place, name), _stage(place).models[name].startup_timeout_s
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not process.is_running:
            raise process.failure("ended while it started")
        try:
            answer = httpx.get(f"{place.model_server(name)}/ping", timeout=10, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == httpx.codes.OK:
            return
        if answer.json()["status"] == "failed":
            raise process.failure(f"cannot load its model: {answer.json()['reason']}")
        time.sleep(0.1)
    raise process.failure(f"did not load within {limit_s} s")


def connect_endpoint(place: Place, outputs: Outputs, name: str) -> None:
    """Tell SageMaker's stand-in of a model's endpoint, as the deployment of one would."""
    stage, bucket = _stage(place), outputs["BucketName"]
    endpoint = endpoint_name(stage, name)
    settings = {
        "url": place.model_server(name),
        "success_topic": outputs["ModelSuccessTopicArn"],
        "error_topic": outputs["ModelErrorTopicArn"],
        "output": f"s3://{bucket}/{MODEL_RESULT_PREFIX}{endpoint}",
        "failure": f"s3://{bucket}/{MODEL_FAILURE_PREFIX}{endpoint}",
        "concurrency": stage.models[name].concurrency,
    }
    url = f"{place.stand_ins}/_sagemaker/endpoints/{endpoint}"
    httpx.put(url, json=settings, timeout=10, trust_env=False).raise_for_status()


def weights_variable(name: str) -> str:
    """Return the variable of the shell that names the folder of a model's real checkpoint: `QWEN_EDIT_WEIGHTS`."""
    return f"{name.replace('-', '_').upper()}_WEIGHTS"


def real_models() -> list[str]:
    """Return the models of which the shell names a real checkpoint."""
    return [name for name in STAND_INS if checkpoint_folder(weights_variable(name)) is not None]


def _stage(place: Place) -> Stage:
    return local_stage(**context(place))


def _models_python(name: str, weights: Path) -> Path:
    if not weights.is_dir():
        raise NotStarted(f"{weights_variable(name)} names {weights}, which is no folder")
    if not MODELS_PYTHON.exists():
        raise NotStarted(f"{weights_variable(name)} is set, but the models' packages are missing: run `make models`")
    return MODELS_PYTHON
