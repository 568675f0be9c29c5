"""Checkpoints in the bucket of the emulator: uploaded once, known again, never mixed."""

import hashlib
import json

import pytest

from cdk.checkpoints import weights_prefix
from cdk.config import DEV
from cdk.publishing.bucket import ModelBucket, bucket_name
from cdk.publishing.errors import NotPublished
from cdk.publishing.task import publish_task, withdraw_task
from cdk.publishing.weights import Weights


@pytest.fixture
def bucket(studio):
    return ModelBucket(studio.aws("s3"), studio.outputs["BucketName"])


@pytest.fixture
def weights(tmp_path):
    """A folder whose content no other test has; one file is long enough to go up in parts."""
    folder = tmp_path / "weights"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text(str(tmp_path))
    (folder / "parts" / "1.bin").write_bytes(bytes(9_000_000) + str(tmp_path).encode())
    return Weights.at(folder)


def prefix_of(weights: Weights) -> str:
    return weights_prefix("schp", weights.sha256)


def test_checkpoint_lies_in_the_bucket_as_it_is_on_this_machine(studio, bucket, weights):
    assert bucket.upload(prefix_of(weights), weights, print) == ["config.json", "parts/1.bin"]
    for name, file in weights.files.items():
        key = f"models/schp/{weights.sha256}/{name}"
        body = studio.aws("s3").get_object(Bucket=bucket.name, Key=key)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == file.sha256


def test_checkpoint_that_is_there_is_not_uploaded_again(bucket, weights):
    bucket.upload(prefix_of(weights), weights, print)
    assert bucket.upload(prefix_of(weights), weights, print) == []


def test_file_that_is_not_what_it_should_be_is_uploaded_again(studio, bucket, weights):
    bucket.upload(prefix_of(weights), weights, print)
    key = f"models/schp/{weights.sha256}/config.json"
    studio.aws("s3").put_object(Bucket=bucket.name, Key=key, Body=b"something else")
    assert bucket.upload(prefix_of(weights), weights, print) == ["config.json"]


def test_same_checkpoint_under_another_name_is_refused(bucket, tmp_path):
    first, second = tmp_path / "first.pth", tmp_path / "second.pth"
    for path in (first, second):
        path.write_text(str(tmp_path))
    bucket.upload(prefix_of(Weights.at(first)), Weights.at(first), print)
    with pytest.raises(NotPublished, match=r"holds first\.pth already: use these names"):
        bucket.upload(prefix_of(Weights.at(second)), Weights.at(second), print)


def test_bucket_that_does_not_exist_is_told(studio, weights):
    with pytest.raises(NotPublished, match=r"s3://no-such-bucket/models/schp/.* was not written: .*NoSuchBucket"):
        ModelBucket(studio.aws("s3"), "no-such-bucket").upload(prefix_of(weights), weights, print)


def test_bucket_is_found_by_the_stages_stack(studio):
    local = DEV.model_copy(update={"name": "local"})
    assert bucket_name(studio.aws("cloudformation"), local) == studio.outputs["BucketName"]


def test_stage_that_is_not_deployed_is_told(studio):
    with pytest.raises(NotPublished, match="there is no stack backlot-dev-storage: make deploy STAGE=dev first"):
        bucket_name(studio.aws("cloudformation"), DEV)


def test_tasks_checkpoint_counts_at_once_and_until_it_is_withdrawn(studio, bucket, tmp_path):
    folder, python = tmp_path / "insertion", tmp_path / "python"
    folder.mkdir()
    (folder / "cp.safetensors").write_text(str(tmp_path))
    sha256 = hashlib.sha256(str(tmp_path).encode()).hexdigest()
    found = json.dumps({"task": "insertion", "sha256": sha256, "config": {"steps": 8}})
    python.write_text(f"#!/bin/sh\necho '{found}'\n")
    python.chmod(0o755)
    options = {"find_bucket": lambda _: bucket, "say": lambda _: None}
    for _ in range(2):
        told = publish_task(DEV, "qwen-edit", "insertion", folder, python=python, **options)
    key = "models/qwen-edit/tasks/insertion.json"
    assert json.loads(bucket.read(key)) == told
    weights = told["uri"].removeprefix(f"s3://{bucket.name}/")
    assert weights == f"models/qwen-edit/tasks/insertion/{sha256}/cp.safetensors"
    assert studio.aws("s3").get_object(Bucket=bucket.name, Key=weights)["Body"].read().decode() == str(tmp_path)
    withdraw_task(DEV, "qwen-edit", "insertion", **options)
    assert bucket.read(key) is None
