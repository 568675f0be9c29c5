"""The model servers of local mode: the real server, with the real checkpoint if the shell names one."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.deployment import Outputs
from local.environment import checkpoint_folder
from local.place import ROOT, Place
from local.processes import Background, NotStarted, stamp_of

#: A real checkpoint is read, calibrated and compared in half a minute on two idle cores, seconds.
LOAD_S = 300.0


@dataclass(frozen=True)
class Served:
    """A model that local mode serves.

    Args:
        name: of the model.
        variable: of the shell that names the folder of a real checkpoint.
        real: class that loads it.
        stand_in: class that needs none.
        endpoint: name of the SageMaker endpoint in stage `local`.
        concurrency: of the endpoint, and of the server behind it.
    """

    name: str
    variable: str
    real: str
    stand_in: str
    endpoint: str
    concurrency: int


SCHP = Served(
    name="schp",
    variable="SCHP_WEIGHTS",
    real="sagemaker_models.schp.model:Schp",
    stand_in="local.stand_ins.body_parts:BodyParts",
    endpoint="backlot-local-schp",
    concurrency=2,
)

#: The models' own environment, see `make models`.
MODELS_PYTHON = ROOT / ".build" / "models" / "bin" / "python"


def model_server(place: Place, served: Served) -> Background:
    """Return a model server's process."""
    return Background(place, f"model-server-{served.name}")


def start_model_server(place: Place, served: Served) -> None:
    """Start a model server unless it runs as it should; does not wait until it has loaded.

    Raises:
        local.processes.NotStarted: a checkpoint is named that cannot be served.
    """
    process, weights = model_server(place, served), checkpoint_folder(served.variable)
    stamp = f"{stamp_of('sagemaker_models', 'backlot/settings.py', 'local/stand_ins')}-{weights}".replace(" ", "-")
    if process.is_made_of(stamp):
        return
    process.stop()
    model = served.stand_in if weights is None else served.real
    python = sys.executable if weights is None else str(_models_python(served, weights))
    variables = {
        **place.client_environment,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "MAX_CONCURRENT": str(served.concurrency),
    }
    process.start(
        [
            *(python, "-m", "sagemaker_models.serving", "serve", "--model", model),
            *("--weights", str(weights or place.run), "--host", "127.0.0.1", "--port", str(place.ports.model_server)),
        ],
        variables,
        stamp,
    )


def await_model_server(place: Place, served: Served) -> None:
    """Wait until a model server has loaded its model.

    Raises:
        local.processes.NotStarted: it ended, or did not load in time.
    """
    process, deadline = model_server(place, served), time.monotonic() + LOAD_S
    while time.monotonic() < deadline:
        if not process.is_running:
            raise process.failure("ended while it started")
        try:
            answer = httpx.get(f"{place.model_server}/ping", timeout=10, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == httpx.codes.OK:
            return
        if answer.json()["status"] == "failed":
            raise process.failure(f"cannot load its model: {answer.json()['reason']}")
        time.sleep(0.1)
    raise process.failure(f"did not load within {LOAD_S:.0f} s")


def connect_endpoint(place: Place, outputs: Outputs, served: Served) -> None:
    """Tell SageMaker's stand-in of an endpoint, as the deployment of one would; nothing if none is deployed."""
    if "ModelSuccessTopicArn" not in outputs:
        return
    bucket = outputs["BucketName"]
    endpoint = {
        "url": place.model_server,
        "success_topic": outputs["ModelSuccessTopicArn"],
        "error_topic": outputs["ModelErrorTopicArn"],
        "output": f"s3://{bucket}/model-results/{served.endpoint}",
        "failure": f"s3://{bucket}/model-failures/{served.endpoint}",
        "concurrency": served.concurrency,
    }
    url = f"{place.stand_ins}/_sagemaker/endpoints/{served.endpoint}"
    httpx.put(url, json=endpoint, timeout=10, trust_env=False).raise_for_status()


def is_real(served: Served) -> bool:
    """Tell whether the shell names a real checkpoint of a model."""
    return checkpoint_folder(served.variable) is not None


def _models_python(served: Served, weights: Path) -> Path:
    if not weights.is_dir():
        raise NotStarted(f"{served.variable} names {weights}, which is no folder")
    if not MODELS_PYTHON.exists():
        raise NotStarted(f"{served.variable} is set, but the models' packages are not installed: run `make models`")
    return MODELS_PYTHON
