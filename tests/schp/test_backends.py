"""All ways to run the network give the same masks; one that does not is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sagemaker_models.schp import backends, choose, plan
from sagemaker_models.schp.checkpoint import Checkpoint
from sagemaker_models.schp.choose import BackendUnavailable, Chooser
from sagemaker_models.schp.config import read_config
from sagemaker_models.schp.figures import draw_figure
from sagemaker_models.schp.labels import DataSet
from sagemaker_models.schp.native import library
from sagemaker_models.schp.preprocess import normalise
from sagemaker_models.schp.ranges import calibrate
from tests.schp.checkpoints import network_of, random_state

SMALL = {"blocks": (1, 1, 2, 1), "width": 16}
SIZE = 96

needs_vnni = pytest.mark.skipif(not library.has_vnni(), reason="the kernels need AVX-512 VNNI")


@pytest.fixture(scope="module")
def network():
    """A network with the statistics of drawn figures, so that its maps have usual values."""
    made = network_of(random_state(**SMALL), **SMALL)
    pictures = torch.cat([torch.from_numpy(normalise(draw_figure(SIZE, seed)[0])) for seed in range(8)])

    def adapt(norm, inputs):
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)) + 0.1)

    norms = [each for each in made.modules() if hasattr(each, "gamma")]
    hooks = [each.register_forward_pre_hook(adapt) for each in norms]
    made(pictures)
    for hook in hooks:
        hook.remove()
    return made


def correlation(found, expected):
    return np.corrcoef(found.ravel(), expected.ravel())[0, 1]


def run_native(network, size):
    steps = plan.plan_of(network)
    ranges = calibrate(steps, [torch.from_numpy(normalise(draw_figure(size, seed)[0])) for seed in range(4)])
    return backends.NativeBackend(network, ranges, size, library.find_or_build(), 2)


@needs_vnni
@pytest.mark.parametrize("size", [96, 119, 64])
def test_native_backend_at_any_size_is_near_fp32(network, size):
    native, exact = run_native(network, size), backends.plain(network)
    picture = draw_figure(size, 50)[0]
    found, expected = native.run(picture), exact.run(picture)
    assert found.shape == expected.shape
    # Rounding costs a network of 16 channels more than one of 64, whose errors even out.
    assert correlation(found, expected) > 0.9
    np.testing.assert_array_equal(native.run(picture), found)


@needs_vnni
def test_native_backend_run_by_two_threads_at_once_mixes_nothing_up(network):
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    native = run_native(network, SIZE)
    pictures = [draw_figure(SIZE, seed)[0] for seed in range(50, 54)]
    expected = [native.run(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(native.run, pictures * 5), expected * 5, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("dtype", "least"), [(torch.float32, 0.9999), (torch.bfloat16, 0.99)])
def test_torch_backend_is_near_the_plain_network(network, dtype, least):
    picture = draw_figure(SIZE, 50)[0]
    assert (
        correlation(backends.torch_backend(network, dtype).run(picture), backends.plain(network).run(picture)) > least
    )


def test_openvino_backend_is_near_the_plain_network(network):
    pytest.importorskip("openvino")
    picture = draw_figure(SIZE, 50)[0]
    found = backends.OpenVinoBackend(network, SIZE, "f32", 2).run(picture)
    assert correlation(found, backends.plain(network).run(picture)) > 0.9999


class Small(Checkpoint):
    """A checkpoint of the small network."""

    def network(self):
        return network_of({"module." + key: value for key, value in self.state.items()}, **SMALL)


@pytest.fixture
def chooser(network, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "CACHE", tmp_path / "cache")
    data_set = DataSet("atr", SIZE, tuple(map(str, range(18))))
    config = read_config().model_copy(update={"calibration_pictures": 4, "least_agreement": 0.5})
    return lambda **changes: Chooser(
        Small(network.state_dict(), data_set, "0" * 64), config.model_copy(update=changes), tmp_path
    )


@needs_vnni
def test_chooser_on_vnni_takes_the_kernels_and_keeps_their_ranges(chooser, tmp_path, monkeypatch):
    choice = chooser().choose()
    assert (choice.backend.name, choice.refused) == ("native-int8", {})
    assert len(list(tmp_path.glob("schp-ranges-*.pt"))) == 1
    monkeypatch.setattr(choose, "calibrate", lambda *_: pytest.fail("calibrated again"))
    assert chooser().choose().agreement == choice.agreement


@needs_vnni
def test_chooser_with_broken_kept_ranges_finds_them_again(chooser, tmp_path):
    chooser().choose()
    kept = next(tmp_path.glob("schp-ranges-*.pt"))
    kept.write_bytes(b"broken")
    assert chooser().choose().backend.name == "native-int8"
    assert kept.read_bytes() != b"broken"


@needs_vnni
def test_chooser_with_a_backend_that_disagrees_takes_the_next(chooser, monkeypatch):
    class Wrong:
        name = "native-int8"

        def run(self, bgr):
            return np.roll(backends.torch_backend(network_, torch.float32).run(bgr), 4, 0)

    made = chooser(least_agreement=0.9)
    network_ = made._network
    monkeypatch.setattr(backends, "NativeBackend", lambda *_: Wrong())
    monkeypatch.setattr(backends, "order_of_trial", lambda: ("native-int8", "torch-bf16", "torch-fp32"))
    choice = made.choose()
    assert choice.backend.name == "torch-bf16"
    assert "agrees with fp32" in choice.refused["native-int8"]


def test_chooser_without_a_compiler_goes_on_without_kernels(chooser, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "BUILT", tmp_path / "built")
    monkeypatch.setattr(library.shutil, "which", lambda _: None)
    monkeypatch.setattr(library, "has_vnni", lambda: True)
    monkeypatch.setattr(backends, "order_of_trial", lambda: ("native-int8", "torch-fp32"))
    choice = chooser().choose()
    assert choice.backend.name == "torch-fp32"
    assert choice.refused == {"native-int8": "the kernels are not built, and there is no C compiler"}
    assert not isinstance(choice.label, Path)


def test_chooser_with_a_configured_backend_takes_that(chooser):
    assert chooser(backend="torch-fp32").choose().backend.name == "torch-fp32"


def test_chooser_for_cuda_without_a_gpu_says_so(chooser):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BackendUnavailable, match="no GPU"):
        chooser().build("cuda")
