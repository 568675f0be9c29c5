"""Models on a host's disk: brought once, found again, replaced, and never something else than was published."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from containers.comfyui.models import __main__ as command
from containers.comfyui.models.settings import ModelFile, Settings
from containers.comfyui.models.store import ModelsMissing, ModelStore
from tests.unit.aws_answers import answering

LIMIT = 100


class Objects:
    """The bucket: what lies at which key, and what was asked for."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.asked: list[str] = []

    def publish(self, name: str, body: bytes, folder: str = "loras") -> ModelFile:
        sha256 = hashlib.sha256(body).hexdigest()
        key = f"models/comfyui/{sha256}/{name}"
        self.bodies[key] = body
        return ModelFile(name=name, folder=folder, key=key, size_bytes=len(body), sha256=sha256)

    def download(self, key: str, path: Path) -> None:
        self.asked.append(key)
        if key not in self.bodies:
            raise ModelsMissing(f"there is no {key}")
        path.write_bytes(self.bodies[key])


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path, objects, said) -> ModelStore:
    return ModelStore(tmp_path, LIMIT, objects.download, said.append)


def files(folder: Path) -> dict[str, bytes]:
    """Return what ComfyUI finds: the files in its folders."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("[!.]*/*")}


def stored(folder: Path) -> set[str]:
    return {path.name for path in (folder / ".store").iterdir()}


def test_models_are_found_in_comfyuis_folders_under_their_names(tmp_path, store, objects):
    store.hold([objects.publish("镜头转换.safetensors", b"lora"), objects.publish("vae.safetensors", b"vae", "vae")])
    assert files(tmp_path) == {"loras/镜头转换.safetensors": b"lora", "vae/vae.safetensors": b"vae"}


def test_models_that_are_there_are_not_brought_again(store, objects, said):
    models = [objects.publish("a.safetensors", b"one"), objects.publish("b.safetensors", b"two")]
    store.hold(models)
    objects.asked.clear()
    store.hold([*models, objects.publish("c.safetensors", b"three")])
    assert objects.asked == [objects.publish("c.safetensors", b"three").key]
    assert said[-1] == "3 models are there, 1 of them new"


def test_same_content_under_two_names_is_brought_once(tmp_path, store, objects):
    store.hold([objects.publish("a.safetensors", b"same"), objects.publish("b.safetensors", b"same")])
    assert len(objects.asked) == 1
    assert files(tmp_path) == {"loras/a.safetensors": b"same", "loras/b.safetensors": b"same"}


def test_new_content_takes_the_place_of_the_old_under_its_name(tmp_path, store, objects):
    store.hold([objects.publish("a.safetensors", b"old")])
    store.hold([objects.publish("a.safetensors", b"new")])
    assert files(tmp_path) == {"loras/a.safetensors": b"new"}


def test_model_that_nobody_names_any_more_is_not_shown_and_stays_while_there_is_room(tmp_path, store, objects):
    old, other = objects.publish("old.safetensors", b"o" * 30), objects.publish("other.safetensors", b"x" * 30)
    store.hold([old, other])
    store.hold([other])
    assert files(tmp_path) == {"loras/other.safetensors": b"x" * 30}
    assert stored(tmp_path) == {old.sha256, other.sha256}


def test_what_was_not_used_for_longest_makes_room_and_no_more_than_that(tmp_path, store, objects, said):
    models = [objects.publish(f"{name}.safetensors", name.encode() * 30) for name in "abc"]
    for number, model in enumerate(models):
        store.hold([model])
        os.utime(tmp_path / ".store" / model.sha256, (number, number))
    store.hold([models[0]])
    fresh = objects.publish("fresh.safetensors", b"f" * 30)
    store.hold([fresh])
    assert stored(tmp_path) == {models[0].sha256, models[2].sha256, fresh.sha256}
    assert f"{models[1].sha256[:12]}… was not used for longest and has made room" in said


@pytest.mark.parametrize(("size", "fits"), [(LIMIT, True), (LIMIT + 1, False)])
def test_models_beyond_the_limit_are_refused(store, objects, size, fits):
    model = objects.publish("large.safetensors", b"x" * size)
    if fits:
        store.hold([model])
    else:
        with pytest.raises(ModelsMissing, match=r"gpu\.cache_gb"):
            store.hold([model])
    assert bool(objects.asked) is fits


def test_model_that_is_not_in_the_bucket_is_told(store, objects):
    missing = objects.publish("a.safetensors", b"one")
    objects.bodies.clear()
    with pytest.raises(ModelsMissing, match=missing.key):
        store.hold([missing])


@pytest.mark.parametrize(("body", "message"), [(b"ona", "has the hash"), (b"on", "has 2 bytes, 3 were published")])
def test_object_that_is_something_else_is_never_shown(tmp_path, store, objects, body, message):
    model = objects.publish("a.safetensors", b"one")
    objects.bodies[model.key] = body
    with pytest.raises(ModelsMissing, match=message):
        store.hold([model])
    assert files(tmp_path) == {}
    objects.bodies[model.key] = b"one"
    store.hold([model])
    assert files(tmp_path) == {"loras/a.safetensors": b"one"}


def test_what_an_interrupted_start_left_behind_is_removed(tmp_path, store, objects):
    model = objects.publish("a.safetensors", b"one")
    (tmp_path / ".store").mkdir()
    (tmp_path / ".store" / f"{model.sha256}.partial").write_bytes(b"x" * LIMIT)
    (tmp_path / ".store" / "0.partial").symlink_to("nowhere")
    store.hold([model])
    assert stored(tmp_path) == {model.sha256}


def test_file_whose_size_is_wrong_is_brought_again(tmp_path, store, objects):
    model = objects.publish("a.safetensors", b"one")
    store.hold([model])
    (tmp_path / ".store" / model.sha256).write_bytes(b"o")
    store.hold([model])
    assert files(tmp_path) == {"loras/a.safetensors": b"one"}


@pytest.mark.parametrize(
    "changed", [{"name": "../a"}, {"name": ".a"}, {"folder": "a/b"}, {"folder": ".store"}, {"sha256": "5c"}]
)
def test_model_that_would_lead_elsewhere_is_refused(objects, changed):
    with pytest.raises(ValueError, match=next(iter(changed))):
        ModelFile(**{**objects.publish("a.safetensors", b"one").model_dump(), **changed})


def variables(folder: Path, *models: ModelFile) -> dict[str, str]:
    return {
        "BUCKET": "assets",
        "MODELS": json.dumps([model.model_dump() for model in models]),
        "MODELS_FOLDER": str(folder),
        "CACHE_GB": "1",
    }


def test_container_whose_model_is_missing_says_how_to_publish_it_and_fails(tmp_path, objects, monkeypatch, capsys):
    model = objects.publish("a.safetensors", b"one")
    for name, value in variables(tmp_path, model).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "patient_client", lambda _: answering("s3", ("head_object:404", 404)))
    assert command.main() == 1
    assert f"no worker starts here: there is no s3://assets/{model.key}" in capsys.readouterr().err


def test_container_without_models_has_nothing_to_do(tmp_path, monkeypatch):
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "patient_client", lambda _: answering("s3"))
    assert command.main() == 0


def test_settings_read_the_models_as_they_are_deployed(tmp_path, objects):
    model = objects.publish("镜头转换.safetensors", b"one")
    assert Settings.model_validate(variables(tmp_path, model)).models == (model,)
