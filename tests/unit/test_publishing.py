"""Publishing a checkpoint: what is refused, what is noted, and that nothing is noted that was not done."""

import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from cdk.checkpoints import Checkpoint, Checkpoints
from cdk.config import DEV
from cdk.publishing import __main__ as command
from cdk.publishing import check
from cdk.publishing.__main__ import publish
from cdk.publishing.bucket import ModelBucket, bucket_name
from cdk.publishing.errors import NotPublished
from cdk.publishing.weights import Weights
from tests.unit.aws_answers import answering, unreachable

BODY = b"weights"
SHA256 = hashlib.sha256(BODY).hexdigest()


class Bucket(ModelBucket):
    """A bucket that only remembers; one that fails if it is told to."""

    def __init__(self, error: str = "") -> None:
        super().__init__(None, "bucket")
        self.error = error
        self.uploads: list[str] = []
        self.objects: dict[str, bytes] = {}

    def upload(self, prefix: str, weights: Weights, say: Callable[[str], None]) -> list[str]:
        if self.error:
            raise NotPublished(self.error)
        missing = [name for name in sorted(weights.files) if prefix + name not in self.uploads]
        self.uploads += [prefix + name for name in missing]
        return missing

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body

    def delete(self, key: str) -> None:
        del self.objects[key]


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def checkpoints(tmp_path):
    path = tmp_path / "checkpoints.json"
    path.write_text('{"dev": {}, "prod": {}}')
    return path


def script(folder, text):
    """Return an interpreter that does as a shell script says, whatever it is asked."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def accepting(tmp_path):
    return script(tmp_path, """echo 'a warning of a library'; echo '{"data_set": "atr", "classes": 18}'""")


@pytest.fixture
def refusing(tmp_path):
    return script(tmp_path, "echo 'model.pth has 21 classes' >&2; exit 3")


def test_weights_of_one_file_have_its_hash(weights):
    found = Weights.at(weights)
    assert (found.sha256, list(found.files), found.size_bytes) == (SHA256, ["model.pth"], len(BODY))


def test_weights_of_a_folder_have_the_hash_of_its_listing(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "1.safetensors").write_bytes(BODY)
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "part").write_bytes(b"x")
    found = Weights.at(tmp_path)
    listing = f"{hashlib.sha256(b'{}').hexdigest()}  config.json\n{SHA256}  parts/1.safetensors\n"
    assert list(found.files) == ["config.json", "parts/1.safetensors"]
    assert found.sha256 == hashlib.sha256(listing.encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.pth", "there is no file or folder"), ("empty.pth", "is empty"), ("folder", "holds no file")],
)
def test_weights_that_are_not_there_are_refused(tmp_path, name, message):
    (tmp_path / "empty.pth").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotPublished, match=message):
        Weights.at(tmp_path / name)


def test_check_answers_what_the_model_found(weights, accepting):
    assert Weights.at(weights).check("schp", accepting) == {"data_set": "atr", "classes": 18}


def test_check_says_why_the_model_refuses(weights, refusing):
    with pytest.raises(NotPublished, match=r"these are no weights of schp: model\.pth has 21 classes"):
        Weights.at(weights).check("schp", refusing)


def test_check_that_cannot_run_is_no_refusal(weights, capsys):
    with pytest.raises(NotPublished, match="the check of no-model's weights failed"):
        Weights.at(weights).check("no-model", type(weights)(sys.executable))
    assert "sagemaker_models.no_model" in capsys.readouterr().err


def test_check_without_the_models_environment_says_how_to_install_it(weights, tmp_path):
    with pytest.raises(NotPublished, match="run make models"):
        Weights.at(weights).check("schp", tmp_path / "nowhere" / "python")


class WeightsInvalid(Exception):
    pass


def refuse(path):
    raise WeightsInvalid(f"{path.name} is cut off")


@pytest.mark.parametrize(
    ("checks", "code", "out", "err"),
    [
        (lambda path: {"name": path.name}, 0, '{"name": "model.pth"}\n', ""),
        (refuse, check.REFUSED, "", "model.pth is cut off\n"),
    ],
)
def test_check_in_the_models_environment_calls_the_models_own_code(monkeypatch, capsys, checks, code, out, err):
    monkeypatch.setitem(sys.modules, "sagemaker_models", SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, "sagemaker_models.two_words", SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, "sagemaker_models.two_words.checkpoint", SimpleNamespace(check=checks))
    monkeypatch.setitem(sys.modules, "sagemaker_models.serving", SimpleNamespace(__path__=[]))
    serving = SimpleNamespace(WeightsInvalid=WeightsInvalid)
    monkeypatch.setitem(sys.modules, "sagemaker_models.serving.model", serving)
    assert check.main("two-words", "/weights/model.pth") == code
    assert tuple(capsys.readouterr()) == (out, err)


def test_published_checkpoint_is_noted_for_its_stage_alone(weights, checkpoints, accepting):
    bucket = Bucket()
    publish(DEV, "schp", weights, find_bucket=lambda _: bucket, python=accepting, checkpoints=checkpoints)
    noted = json.loads(checkpoints.read_text())
    assert bucket.uploads == [f"models/schp/{SHA256}/model.pth"]
    assert noted["dev"]["schp"]["sha256"] == SHA256
    assert noted["prod"] == {}
    assert Checkpoints.read(checkpoints).of(DEV)["schp"].published_at.utcoffset().total_seconds() == 0


def test_publishing_twice_notes_it_once(weights, checkpoints, accepting):
    def again():
        return publish(DEV, "schp", weights, find_bucket=lambda _: Bucket(), python=accepting, checkpoints=checkpoints)

    long_ago = again().model_copy(update={"published_at": datetime(2001, 1, 1, tzinfo=UTC)})
    Checkpoints.read(checkpoints).with_checkpoint("dev", "schp", long_ago).write(checkpoints)
    assert again() == Checkpoints.read(checkpoints).of(DEV)["schp"] == long_ago


def test_checkpoint_of_which_nothing_was_known_is_noted_with_what_is_found(weights, checkpoints, accepting):
    unknown = Checkpoint(sha256=SHA256, published_at=datetime(2001, 1, 1, tzinfo=UTC))
    Checkpoints.read(checkpoints).with_checkpoint("dev", "schp", unknown).write(checkpoints)
    publish(DEV, "schp", weights, find_bucket=lambda _: Bucket(), python=accepting, checkpoints=checkpoints)
    assert Checkpoints.read(checkpoints).of(DEV)["schp"].found == {"data_set": "atr", "classes": 18}


def test_other_weights_take_the_place_of_the_noted_ones(weights, checkpoints, accepting):
    for body in (b"older", BODY):
        weights.write_bytes(body)
        publish(DEV, "schp", weights, find_bucket=lambda _: Bucket(), python=accepting, checkpoints=checkpoints)
    assert Checkpoints.read(checkpoints).of(DEV)["schp"].sha256 == SHA256


def test_refused_weights_are_neither_uploaded_nor_noted(weights, checkpoints, refusing):
    bucket, before = Bucket(), checkpoints.read_text()
    with pytest.raises(NotPublished):
        publish(DEV, "schp", weights, find_bucket=lambda _: bucket, python=refusing, checkpoints=checkpoints)
    assert (bucket.uploads, checkpoints.read_text()) == ([], before)


def test_weights_that_were_not_uploaded_are_not_noted(weights, checkpoints, accepting):
    before = checkpoints.read_text()
    with pytest.raises(NotPublished, match="no bucket"):
        publish(
            DEV, "schp", weights, find_bucket=lambda _: Bucket("no bucket"), python=accepting, checkpoints=checkpoints
        )
    assert checkpoints.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--stage", "local", "--model", "schp", "--weights", "x"],
            "there is no stage 'local' on AWS; choose STAGE=dev|prod",
        ),
        (["--stage", "dev", "--model", "", "--weights", ""], "say which: make publish-model MODEL=schp"),
        (
            ["--stage", "dev", "--model", "sam", "--weights", "x"],
            "stage dev has no model 'sam'; it has flux, qwen-edit, schp, segment",
        ),
        (["--stage", "dev", "--model", "qwen_edit", "--weights", "nowhere"], "there is no file or folder nowhere"),
        (
            ["--stage", "dev", "--model", "schp", "--task", "removal", "--weights", "x"],
            "schp has no checkpoints of tasks; qwen-edit has",
        ),
        (["--stage", "dev", "--model", "schp", "--weights", "nowhere.pth"], "there is no file or folder nowhere.pth"),
    ],
)
def test_command_that_cannot_work_says_why_and_fails(capsys, arguments, message):
    assert command.main(arguments) == 1
    assert f"not published: {message}" in capsys.readouterr().err


def stack(**fields):
    return {"StackName": "backlot-dev-storage", "CreationTime": 0, "StackStatus": "CREATE_COMPLETE", **fields}


def test_bucket_is_that_of_the_stages_stack():
    outputs = [{"OutputKey": "BucketName", "OutputValue": "assets"}]
    client = answering("cloudformation", {"describe_stacks": {"Stacks": [stack(Outputs=outputs)]}})
    assert bucket_name(client, DEV) == "assets"


def test_bucket_of_a_stack_that_is_not_whole_is_refused():
    broken = stack(StackStatus="ROLLBACK_COMPLETE")
    client = answering("cloudformation", {"describe_stacks": {"Stacks": [broken]}})
    with pytest.raises(NotPublished, match="backlot-dev-storage is ROLLBACK_COMPLETE and has no bucket"):
        bucket_name(client, DEV)


def test_refusal_of_the_credentials_is_told():
    client = answering("cloudformation", ("describe_stacks:AccessDenied", 403))
    with pytest.raises(NotPublished, match=r"backlot-dev-storage cannot be looked at: .*AccessDenied"):
        bucket_name(client, DEV)


def test_unreachable_aws_is_told():
    with pytest.raises(NotPublished, match="Could not connect"):
        bucket_name(unreachable("cloudformation"), DEV)


def test_missing_credentials_are_told_in_words():
    session = boto3.session.Session(region_name="us-east-1")
    session._session.register_component("credential_provider", SimpleNamespace(load_credentials=lambda: None))
    client = session.client("cloudformation", config=Config(retries={"max_attempts": 0}))
    with pytest.raises(NotPublished, match="no credentials or no region for AWS; set AWS_PROFILE"):
        bucket_name(client, DEV)
