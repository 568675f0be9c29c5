"""The GPU lane of local mode: the real worker, beside ComfyUI's stand-in or the real ComfyUI that the shell names."""

import sys

from cdk.config import local_stage
from cdk.gpu_environment import worker_settings
from local.deployment import Outputs, context
from local.emulator import client
from local.environment import comfyui_url
from local.place import ROOT, Place
from local.processes import Background, stamp_of

#: What the worker and ComfyUI's stand-in are made of, and what they are told.
SOURCES = (
    *("containers/comfyui", "local/stand_ins/comfyui", "backlot"),
    *("cdk/config.py", "cdk/gpu_config.py", "cdk/gpu_environment.py", "cdk/gpu_models.py"),
)

#: The worker and the stand-in start in a few seconds; a real ComfyUI may still be importing torch.
START_S = 60.0


def gpu_worker(place: Place) -> Background:
    """Return the worker's process; ComfyUI's stand-in is its child, as ComfyUI is on a host."""
    return Background(place, "gpu-worker")


def start_gpu_worker(place: Place, outputs: Outputs) -> None:
    """Start the worker unless it runs as it should; does not wait until it is ready."""
    process, real = gpu_worker(place), comfyui_url()
    stamp = f"{stamp_of(*SOURCES)}-{real or 'stand-in'}"
    if process.is_made_of(stamp):
        return
    process.stop()
    process.start([sys.executable, "-m", "containers.comfyui.worker"], worker_environment(place, outputs), stamp)


def worker_environment(place: Place, outputs: Outputs) -> dict[str, str]:
    """Return the worker's variables: those of the container on a host, the role's credentials, and where ComfyUI is."""
    real = comfyui_url()
    command = (
        f"{sys.executable} -m local.stand_ins.comfyui --port {place.ports.comfyui} --folder {place.run / 'comfyui'}"
    )
    role = client(place, "sts").assume_role(RoleArn=outputs["GpuWorkerRoleArn"], RoleSessionName="gpu-worker")
    return {
        **worker_settings(local_stage(**context(place))),
        "TASK_STORE": outputs["TaskStoreName"],
        "IDEMPOTENCY_TABLE": outputs["IdempotencyTableName"],
        "QUEUE_URL": outputs["GpuTasksQueueUrl"],
        "BUCKET": outputs["BucketName"],
        "CDN_BASE_URL": outputs["CdnUrl"],
        "POWERTOOLS_SERVICE_NAME": "backlot-local",
        **place.client_environment,
        "AWS_ACCESS_KEY_ID": role["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": role["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": role["Credentials"]["SessionToken"],
        "COMFYUI_URL": real or place.comfyui,
        "COMFYUI_COMMAND": "" if real else command,
        "PORT": str(place.ports.gpu_worker),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def await_gpu_worker(place: Place) -> None:
    """Wait until the worker takes messages.

    Raises:
        local.processes.NotStarted: it ended, or was not ready in time.
    """
    there = f"ComfyUI has to answer at {comfyui_url() or place.comfyui}"
    gpu_worker(place).await_answer(f"{place.gpu_worker}/ready", START_S, there)
