"""Publishing a task's checkpoint, which counts without a deployment; and licences, which are told."""

import hashlib
import json

import pytest

from cdk.checkpoints import Checkpoints, restrictions
from cdk.config import DEV
from cdk.publishing.__main__ import publish
from cdk.publishing.bucket import Progress
from cdk.publishing.errors import NotPublished
from cdk.publishing.task import publish_task, withdraw_task
from tests.unit.test_publishing import Bucket, script

BODY = b"a LoRA"
SHA256 = hashlib.sha256(BODY).hexdigest()
POINTER = "models/qwen-edit/tasks/insertion.json"
WEIGHTS = f"models/qwen-edit/tasks/insertion/{SHA256}/insertion_cp.safetensors"
CONFIG = {"task": "insertion", "steps": 40}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "insertion"
    path.mkdir()
    (path / "insertion_cp.safetensors").write_bytes(BODY)
    (path / "qwen_edit.yaml").write_text("task: insertion")
    return path


def saying(tmp_path, **found):
    """Return an interpreter whose check finds this."""
    return script(tmp_path, f"echo '{json.dumps(found)}'")


@pytest.fixture
def python(tmp_path):
    return saying(tmp_path, kind="lora", task="insertion", sha256=SHA256, config=CONFIG)


def publish_in(bucket, folder, python, **changes):
    said = []
    stage = changes.pop("stage", DEV)
    task = changes.pop("task", "insertion")
    told = publish_task(stage, "qwen-edit", task, folder, find_bucket=lambda _: bucket, python=python, say=said.append)
    return told, said


def test_tasks_checkpoint_lies_by_its_hash_and_the_object_that_steps_read_names_it(folder, python):
    bucket = Bucket()
    told, said = publish_in(bucket, folder, python)
    kept = json.loads(bucket.objects[POINTER])
    assert bucket.uploads == [WEIGHTS]
    assert kept == told
    assert {**kept, "published_at": ""} == {
        "uri": f"s3://bucket/{WEIGHTS}",
        "sha256": SHA256,
        "config": CONFIG,
        "published_at": "",
    }
    assert said[-1] == f"s3://bucket/{POINTER} names it: the next request uses it, nothing has to be deployed"


def test_publishing_a_tasks_checkpoint_twice_uploads_and_writes_nothing(folder, python):
    bucket = Bucket()
    first, _ = publish_in(bucket, folder, python)
    before = dict(bucket.objects)
    again, said = publish_in(bucket, folder, python)
    assert (again, bucket.objects, bucket.uploads) == (first, before, [WEIGHTS])
    assert said[-1] == f"s3://bucket/{POINTER} names it already"


def test_other_configuration_of_the_same_weights_counts_and_uploads_nothing(folder, python, tmp_path):
    bucket = Bucket()
    publish_in(bucket, folder, python)
    config = {**CONFIG, "steps": 8}
    publish_in(bucket, folder, saying(tmp_path, task="insertion", sha256=SHA256, config=config))
    assert json.loads(bucket.objects[POINTER])["config"] == config
    assert bucket.uploads == [WEIGHTS]


@pytest.mark.parametrize("body", [b"no JSON", b"[]"])
def test_object_that_says_nothing_is_written_anew(folder, python, body):
    bucket = Bucket()
    bucket.objects[POINTER] = body
    publish_in(bucket, folder, python)
    assert json.loads(bucket.objects[POINTER])["sha256"] == SHA256


@pytest.mark.parametrize(
    ("found", "task", "message"),
    [
        (
            {"task": "removal", "sha256": SHA256, "config": {}},
            "insertion",
            "a checkpoint of the task removal, and TASK=in",
        ),
        ({"kind": "base", "layers": 60}, "insertion", "no checkpoint of one of qwen-edit's tasks"),
        ({"task": "insertion", "sha256": "5c" * 32, "config": {}}, "insertion", "no file of .* has the hash 5c5c"),
    ],
)
def test_what_is_no_checkpoint_of_the_task_is_neither_uploaded_nor_named(folder, tmp_path, found, task, message):
    bucket = Bucket()
    with pytest.raises(NotPublished, match=message):
        publish_in(bucket, folder, saying(tmp_path, **found), task=task)
    assert (bucket.uploads, bucket.objects) == ([], {})


def test_checkpoint_that_the_model_refuses_is_neither_uploaded_nor_named(folder, tmp_path):
    bucket = Bucket()
    with pytest.raises(NotPublished, match="these are no weights of qwen-edit: 3 keys belong to no layer"):
        publish_in(bucket, folder, script(tmp_path, "echo '3 keys belong to no layer' >&2; exit 3"))
    assert (bucket.uploads, bucket.objects) == ([], {})


def test_checkpoint_that_no_instance_has_room_for_is_refused(folder, python):
    bucket = Bucket()
    crowded = DEV.models["qwen-edit"].model_copy(update={"files_gb": 1e-10})
    stage = DEV.model_copy(update={"models": {**DEV.models, "qwen-edit": crowded}})
    with pytest.raises(NotPublished, match=r"and instances keep 1e-10 GB of such files \(files_gb\)"):
        publish_in(bucket, folder, python, stage=stage)
    assert (bucket.uploads, bucket.objects) == ([], {})


def test_weights_that_were_not_uploaded_are_not_named(folder, python):
    bucket = Bucket("AccessDenied")
    with pytest.raises(NotPublished, match="AccessDenied"):
        publish_in(bucket, folder, python)
    assert bucket.objects == {}


def test_withdrawn_checkpoint_counts_no_more_and_lies_where_it_lay(folder, python):
    bucket, said = Bucket(), []
    publish_in(bucket, folder, python)
    withdraw_task(DEV, "qwen-edit", "insertion", find_bucket=lambda _: bucket, say=said.append)
    assert (bucket.objects, bucket.uploads) == ({}, [WEIGHTS])
    assert "the next request for insertion uses what qwen-edit's own folder has" in said[-1]
    with pytest.raises(NotPublished, match="own folder counts already"):
        withdraw_task(DEV, "qwen-edit", "insertion", find_bucket=lambda _: bucket, say=said.append)


def test_tasks_checkpoint_is_not_published_as_the_model_itself(folder, python, tmp_path):
    checkpoints, bucket = tmp_path / "checkpoints.json", Bucket()
    checkpoints.write_text('{"dev": {}}')
    with pytest.raises(NotPublished, match="is a checkpoint of the task insertion: say TASK=insertion"):
        publish(DEV, "qwen-edit", folder, find_bucket=lambda _: bucket, python=python, checkpoints=checkpoints)
    assert (bucket.uploads, checkpoints.read_text()) == ([], '{"dev": {}}')


LICENCES = [
    {"part": "A", "licence": "MIT", "commercial": True, "instead": ""},
    {"part": "B", "licence": "research only", "commercial": False, "instead": "C"},
    {"part": "D", "licence": "none is stated", "commercial": None, "instead": "ask"},
]


def test_restrictions_are_those_of_parts_that_are_not_known_to_be_free():
    assert restrictions({"licences": LICENCES}) == [
        "B is not for commercial use (research only); instead: C",
        "D is not known to be for commercial use (none is stated); instead: ask",
    ]
    assert restrictions({"classes": 18}) == []


def test_licences_are_told_when_a_model_is_published_and_noted_for_the_deployment(folder, tmp_path):
    checkpoints, said = tmp_path / "checkpoints.json", []
    checkpoints.write_text('{"dev": {}}')
    python = saying(tmp_path, variant="dev", licences=LICENCES)
    publish(
        DEV, "flux", folder, find_bucket=lambda _: Bucket(), python=python, checkpoints=checkpoints, say=said.append
    )
    assert said[1:4] == [
        "LICENCES of flux: whoever deploys it has to keep to them.",
        "  B is not for commercial use (research only); instead: C",
        "  D is not known to be for commercial use (none is stated); instead: ask",
    ]
    noted = Checkpoints.read(checkpoints).of(DEV)["flux"]
    assert noted.found == {"variant": "dev", "licences": LICENCES}
    assert noted.restrictions == restrictions({"licences": LICENCES})


def test_large_file_says_each_twentieth_how_far_it_is_and_a_small_one_nothing():
    said: list[str] = []
    told = Progress("model.safetensors", 40_000_000_000, said.append)
    for _ in range(1250):
        told(32_000_000)
    assert (len(said), said[0], said[-1]) == (
        20,
        "model.safetensors: 2.0 of 40.0 GB",
        "model.safetensors: 40.0 of 40.0 GB",
    )
    Progress("config.json", 499_999_999, said.append)(499_999_999)
    assert len(said) == 20
