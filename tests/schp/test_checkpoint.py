"""Checkpoints: the published layout is read whole, anything else is refused with a sentence."""

import pickle
import re

import pytest
import torch

from sagemaker_models.schp.checkpoint import find_checkpoint, read_checkpoint
from sagemaker_models.serving.model import WeightsInvalid
from tests.schp.checkpoints import random_state, save


@pytest.fixture(scope="module")
def state():
    return random_state()


def with_classes(state, classes):
    made = dict(state)
    for key in ("decoder.conv4.weight", "decoder.conv4.bias", "fushion.3.weight", "fushion.3.bias"):
        old = state[f"module.{key}"]
        made[f"module.{key}"] = old.new_zeros(classes, *old.shape[1:])
    return made


@pytest.mark.parametrize(("classes", "name", "size"), [(18, "atr", 512), (20, "lip", 473), (7, "pascal", 512)])
def test_read_checkpoint_with_a_class_count_tells_the_data_set(tmp_path, state, classes, name, size):
    read = read_checkpoint(save(tmp_path / "a.pth", with_classes(state, classes)))
    assert (read.data_set.name, read.data_set.size_px, read.data_set.classes) == (name, size, classes)
    assert len(read.state) == 603


@pytest.mark.parametrize("old_format", [False, True])
def test_read_checkpoint_in_both_file_formats_gives_the_same_tensors(tmp_path, state, old_format):
    read = read_checkpoint(save(tmp_path / "a.pth", state, old_format=old_format, epoch=150))
    assert all(torch.equal(read.state[key.removeprefix("module.")], value) for key, value in state.items())


def changed(state, change):
    made = dict(state)
    change(made)
    return made


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.pop("module.edge.conv5.bias"), "lacks 1 of the 603 keys, such as edge.conv5.bias"),
        (
            lambda s: s.update({"module.bn1.extra": torch.ones(1)}),
            "has the unknown 1 of the 603 keys, such as bn1.extra",
        ),
        (lambda s: s.update({"module.bn1.num_batches_tracked": torch.tensor(1)}), "no tensor of floating point"),
        (lambda s: s.update({"bn1.weight": s.pop("module.bn1.weight")}), "does not begin with 'module.'"),
        (lambda s: s.update({"module.bn1.weight": torch.ones(65)}), r"bn1.weight is \(65,\), expected \(64,\)"),
        (lambda s: s.update({"module.bn1.weight": torch.full((64,), float("nan"))}), "not finite"),
        (lambda s: s.pop("module.fushion.3.weight"), "it is no checkpoint of this network"),
        (lambda s: s.update({"module.fushion.3.weight": torch.ones(19, 256, 1, 1)}), "has 19 classes; known are 18"),
    ],
)
def test_read_checkpoint_with_other_tensors_is_refused(tmp_path, state, change, sentence):
    with pytest.raises(WeightsInvalid, match=sentence):
        read_checkpoint(save(tmp_path / "a.pth", changed(state, change)))


def test_read_checkpoint_without_a_state_dict_is_refused(tmp_path):
    torch.save({"weights": {}}, tmp_path / "a.pth")
    with pytest.raises(WeightsInvalid, match="has no state_dict"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("kept", [0, 5, 1000, 0.5, 0.99])
def test_read_checkpoint_cut_off_is_refused(tmp_path, kept, old_format):
    path = save(tmp_path / "a.pth", {"module.a": torch.ones(5000)}, old_format=old_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(WeightsInvalid):
        read_checkpoint(path)


class Harmful:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("content", [b"no checkpoint", pickle.dumps(Harmful(), protocol=2), b"PK\x03\x04" + bytes(100)])
def test_read_checkpoint_of_another_kind_is_refused_and_runs_nothing(tmp_path, capsys, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsInvalid, match=re.escape("a.pth cannot be read as a checkpoint")):
        read_checkpoint(tmp_path / "a.pth")
    assert "this must not run" not in capsys.readouterr().out


def test_find_checkpoint_wants_exactly_one_file(tmp_path):
    with pytest.raises(WeightsInvalid, match="it holds none"):
        find_checkpoint(tmp_path)
    (tmp_path / "a.pth").touch()
    assert find_checkpoint(tmp_path).name == "a.pth"
    (tmp_path / "b.pth").touch()
    with pytest.raises(WeightsInvalid, match=r"a\.pth, b\.pth"):
        find_checkpoint(tmp_path)
    with pytest.raises(WeightsInvalid):
        find_checkpoint(tmp_path / "missing")
