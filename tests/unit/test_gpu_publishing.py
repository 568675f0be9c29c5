"""Publishing a model file of the GPU lane: what is refused, and what the manifest says then."""

import hashlib
import json

import pytest

from cdk.config import DEV
from cdk.gpu_models import Manifest, ModelFile, PublishedFile
from cdk.publishing import gpu_model as command
from cdk.publishing.bucket import ModelBucket
from cdk.publishing.errors import NotPublished
from cdk.publishing.gpu_model import publish


class Bucket(ModelBucket):
    """A bucket that only remembers."""

    def __init__(self) -> None:
        super().__init__(None, "bucket")
        self.uploads: list[tuple[str, str]] = []

    def upload(self, prefix, weights, say):
        known = (prefix, weights.sha256) in self.uploads
        self.uploads.append((prefix, weights.sha256))
        return [] if known else sorted(weights.files)


def safetensors(data: bytes, **header) -> bytes:
    """Return a file as the format has it."""
    tensor = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    text = json.dumps(header or {"__metadata__": {"a": "b"}, "weight": tensor}).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "models.yaml"
    files = (
        ModelFile(name="镜头转换.safetensors", folder="loras", about="the camera's"),
        ModelFile(name="vae.safetensors", folder="vae", about="small"),
    )
    Manifest(files).write(path)
    return path


@pytest.fixture
def lora(tmp_path):
    path = tmp_path / "镜头转换.safetensors"
    path.write_bytes(safetensors(b"weights"))
    return path


def test_published_file_is_uploaded_by_its_hash_and_noted_for_its_stage_alone(bucket, manifest, lora):
    said = []
    publish(DEV, lora, find_bucket=lambda _: bucket, manifest=manifest, say=said.append)
    body = lora.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    assert bucket.uploads == [(f"models/comfyui/{sha256}/", sha256)]
    noted, other = Manifest.read(manifest).root
    assert noted.published == {"dev": PublishedFile(size_bytes=len(body), sha256=sha256)}
    assert noted.of("dev")["key"] == f"models/comfyui/{sha256}/镜头转换.safetensors"
    assert other.published == {}
    assert said[-1] == "models.yaml names it; 1 more until the lane is there: vae.safetensors"


def test_last_file_of_the_manifest_says_what_comes_next(bucket, manifest, lora, tmp_path):
    said = []
    vae = tmp_path / "vae.safetensors"
    vae.write_bytes(safetensors(b"more"))
    for path in (lora, vae):
        publish(DEV, path, find_bucket=lambda _: bucket, manifest=manifest, say=said.append)
    assert said[-1] == "models.yaml names them all: commit that, then make deploy STAGE=dev"
    assert Manifest.read(manifest).missing(DEV) == []


def test_publishing_twice_changes_nothing(bucket, manifest, lora):
    publish(DEV, lora, find_bucket=lambda _: bucket, manifest=manifest)
    before = manifest.stat().st_mtime_ns
    publish(DEV, lora, find_bucket=lambda _: bucket, manifest=manifest)
    assert manifest.stat().st_mtime_ns == before


def test_other_content_takes_the_place_of_the_noted_one(bucket, manifest, lora):
    publish(DEV, lora, find_bucket=lambda _: bucket, manifest=manifest)
    lora.write_bytes(safetensors(b"better weights"))
    published = publish(DEV, lora, find_bucket=lambda _: bucket, manifest=manifest)
    assert Manifest.read(manifest).root[0].published == {"dev": published}


def test_file_that_no_workflow_needs_is_refused_with_those_that_are(bucket, manifest, tmp_path):
    with pytest.raises(NotPublished, match=r"names no 'other\.safetensors'; it names 镜头转换\.safetensors, vae"):
        publish(DEV, tmp_path / "other.safetensors", find_bucket=lambda _: bucket, manifest=manifest)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "there is no file"),
        (b"", "is no safetensors file"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is no safetensors file"),
        (safetensors(b"", weight="x"), "is no safetensors file"),
        (safetensors(b"weights")[:-1], r"has \d+ bytes, its header says \d+: load it again"),
        (safetensors(b"weights") + b"x", r"has \d+ bytes, its header says \d+: load it again"),
    ],
)
def test_file_that_is_not_whole_is_neither_uploaded_nor_noted(bucket, manifest, lora, body, message):
    before = manifest.read_text()
    if body is None:
        lora.unlink()
    else:
        lora.write_bytes(body)
    with pytest.raises(NotPublished, match=message):
        publish(DEV, lora, find_bucket=lambda _: bucket, manifest=manifest)
    assert (bucket.uploads, manifest.read_text()) == ([], before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "local", "--file", "x"], "there is no stage 'local' on AWS; choose STAGE=dev|prod"),
        (["--stage", "dev", "--file", ""], "say which: make publish-gpu-model FILE=path STAGE=dev"),
        (["--stage", "dev", "--file", "other.safetensors"], "models.yaml names no 'other.safetensors'"),
    ],
)
def test_command_that_cannot_work_says_why_and_fails(capsys, arguments, message):
    assert command.main(arguments) == 1
    assert f"not published: {message}" in capsys.readouterr().err
