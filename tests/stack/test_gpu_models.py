"""Models of the GPU lane: from the operator's disk over the emulator's bucket to a host's, as the worker's own role."""

import json
import subprocess
import sys

import pytest

from cdk.checkpoints import weights_prefix
from cdk.publishing.bucket import ModelBucket
from cdk.publishing.weights import Weights
from local.environment import inherited
from local.place import ROOT


@pytest.fixture
def model(studio, tmp_path):
    """Publish a file that is long enough to come in parts; return it and what a host is told of it."""
    path = tmp_path / "镜头转换.safetensors"
    path.write_bytes(str(tmp_path).encode() + bytes(20_000_000))
    weights = Weights.at(path)
    bucket = ModelBucket(studio.aws("s3"), studio.outputs["BucketName"])
    prefix = weights_prefix("comfyui", weights.sha256)
    bucket.upload(prefix, weights, print)
    key = prefix + path.name
    told = {
        "name": path.name,
        "folder": "loras",
        "key": key,
        "size_bytes": weights.size_bytes,
        "sha256": weights.sha256,
    }
    return path, told


def bring(studio, folder, told) -> subprocess.CompletedProcess:
    """Run the container's entry point as the worker's role."""
    role = studio.aws("sts").assume_role(RoleArn=studio.outputs["GpuWorkerRoleArn"], RoleSessionName="host")
    credentials = {
        "AWS_ACCESS_KEY_ID": role["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": role["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": role["Credentials"]["SessionToken"],
    }
    settings = {
        "BUCKET": studio.outputs["BucketName"],
        "MODELS": json.dumps([told]),
        "MODELS_FOLDER": str(folder),
        "CACHE_GB": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "containers.comfyui.models"],
        cwd=ROOT,
        env=inherited() | studio.place.client_environment | credentials | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_published_model_comes_to_the_host_and_is_not_brought_twice(studio, model, tmp_path):
    path, told = model
    folder = tmp_path / "host"
    folder.mkdir()
    done = bring(studio, folder, told)
    assert done.returncode == 0, done.stderr
    assert (folder / "loras" / path.name).read_bytes() == path.read_bytes()
    assert "1 models are there, 0 of them new" in bring(studio, folder, told).stdout


def test_model_that_nobody_published_keeps_the_worker_from_starting(studio, model, tmp_path):
    _, told = model
    told["key"] = f"models/comfyui/{'0' * 64}/{told['name']}"
    done = bring(studio, tmp_path, told)
    assert done.returncode == 1
    assert f"there is no s3://{studio.outputs['BucketName']}/{told['key']}" in done.stderr


def test_worker_may_not_read_the_models_of_others(studio, model, tmp_path):
    path, told = model
    told["key"] = f"models/schp/{told['sha256']}/{told['name']}"
    studio.aws("s3").put_object(Bucket=studio.outputs["BucketName"], Key=told["key"], Body=path.read_bytes())
    done = bring(studio, tmp_path, told)
    assert done.returncode == 1
    assert "no worker starts here: there is no s3://" in done.stderr
