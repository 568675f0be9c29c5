"""Networks that tell subject from background, as real ONNX files in ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from bench.segment_checkpoint import Bright, write_network
from sagemaker_models.segment.backgrounds import Background, alpha_of, score_of
from sagemaker_models.segment.config import NetworkConfig
from sagemaker_models.segment.errors import OutputInvalid, Refused
from sagemaker_models.serving.memory import is_out_of_memory
from sagemaker_models.serving.model import WeightsInvalid
from tests.segment.pictures import SQUARE, noise, scene


def network(folder, made, name="fast", **config):
    return Background(write_network(folder / f"{name}.onnx", made), NetworkConfig(**config))


@pytest.mark.parametrize(
    ("name", "size_px", "config", "family", "side"),
    [
        ("fast", 320, {}, "u2net", 320),
        ("fast", 512, {}, "isnet", 512),
        ("fast", None, {}, "isnet", 1024),
        ("fast", None, {"size_px": 320}, "u2net", 320),
        ("fast", 320, {"family": "isnet"}, "isnet", 320),
        ("best", 512, {}, "birefnet", 512),
        ("best", None, {}, "birefnet", 1024),
        ("best", None, {"family": "u2net"}, "u2net", 320),
    ],
)
def test_family_and_size_follow_from_name_input_and_config(tmp_path, name, size_px, config, family, side):
    about = network(tmp_path, Bright(size_px), name, **config).describe()
    assert (about["family"], about["size_px"]) == (family, side)
    assert len(about["sha256"]) == 64


@pytest.mark.parametrize("family", ["u2net", "isnet", "birefnet"])
def test_pixels_are_as_each_family_was_trained(tmp_path, family):
    made = network(tmp_path, Bright(64), family=family)
    rgb = scene(64, 64, dark=51, bright=204)
    expected = {
        "u2net": (rgb / 204 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
        "isnet": rgb / 255 - 0.5,
        "birefnet": (rgb / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
    }[family]
    np.testing.assert_allclose(made._pixels_of(rgb)[0], expected.transpose(2, 0, 1), atol=1e-6)


def test_pixels_of_a_black_picture_are_finite(tmp_path):
    made = network(tmp_path, Bright(64), family="u2net")
    assert np.isfinite(made._pixels_of(np.zeros((30, 30, 3), np.uint8))).all()


def test_pixels_follow_the_config(tmp_path):
    made = network(tmp_path, Bright(64), family="isnet", mean=(0, 0, 1), std=(1, 2, 1))
    rgb = np.full((64, 64, 3), 255, np.uint8)
    np.testing.assert_allclose(made._pixels_of(rgb)[0, :, 0, 0], (1, 0.5, 0), atol=1e-6)


@pytest.mark.parametrize(
    "made",
    [Bright(64, threshold=0.5, more_outputs=6), Bright(64, threshold=0.5, half=True, gain=20.0)],
    ids=["first-of-seven", "half"],
)
def test_probability_is_the_first_output(tmp_path, made):
    found = network(tmp_path, made, family="u2net").probability(scene(64, 64))
    assert (found.shape, found.dtype) == ((64, 64), np.float32)
    assert found[50, 60] > 0.99
    assert found[2, 2] < 0.01


def test_probability_of_logits_is_their_sigmoid(tmp_path):
    rgb = noise(64, 64)
    logits = network(tmp_path, Bright(64, gain=2.0, logits=True), "best").probability(rgb)
    direct = network(tmp_path, Bright(64, gain=2.0), "best", output="probability").probability(rgb)
    np.testing.assert_allclose(logits, direct, atol=1e-5)


@pytest.mark.parametrize(
    ("made", "config", "said"),
    [
        (Bright(64, logits=True), {"family": "isnet"}, "output: logits"),
        (Bright(64), {"family": "birefnet"}, "output: probability"),
        (Bright(64, gain=float("nan")), {"family": "isnet"}, "no numbers"),
        (Bright(64, gain=float("inf"), logits=True), {"family": "birefnet"}, "no numbers"),
    ],
)
def test_probability_of_values_that_are_none_is_an_error(tmp_path, made, config, said):
    with pytest.raises(OutputInvalid, match=said):
        network(tmp_path, made, **config).probability(scene(64, 64))


def test_load_of_what_is_no_network_is_refused(tmp_path):
    (tmp_path / "fast.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(WeightsInvalid, match=r"fast\.onnx cannot be read as a network.*fetch it again"):
        Background(tmp_path / "fast.onnx", NetworkConfig())


@pytest.mark.parametrize(
    ("taken", "kind", "said"),
    [
        ([1, 1, 64, 64], TensorProto.FLOAT, "something else than a picture"),
        ([1, 3, 64], TensorProto.FLOAT, "something else than a picture"),
        ([1, 3, 64, 64], TensorProto.DOUBLE, "something else than a picture"),
        ([1, 3, 64, 32], TensorProto.FLOAT, "32x64 px"),
    ],
)
def test_load_of_a_network_for_something_else_is_refused(tmp_path, taken, kind, said):
    values = [helper.make_tensor_value_info(name, kind, taken) for name in ("input", "output")]
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["output"])], "same", values[:1], values[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, tmp_path / "fast.onnx")
    with pytest.raises(WeightsInvalid, match=said):
        Background(tmp_path / "fast.onnx", NetworkConfig())


def test_load_of_a_size_that_the_config_contradicts_is_refused(tmp_path):
    with pytest.raises(WeightsInvalid, match=r"64 px; config\.yaml says 320"):
        network(tmp_path, Bright(64), size_px=320)


def test_alpha_spreads_over_the_whole_range_at_the_pictures_size():
    probability = np.full((20, 20), 0.1, np.float32)
    probability[5:15, 5:15] = 0.8
    made = alpha_of(probability, 60, 40)
    assert (made.shape, made.dtype) == ((40, 60), np.uint8)
    assert (made[0, 0], made[20, 30]) == (0, 255)
    assert 0 < made[10, 30] < 255


def test_alpha_of_a_smaller_picture_is_a_mean():
    probability = np.zeros((20, 20), np.float32)
    probability[:, ::2] = 1
    np.testing.assert_array_equal(alpha_of(probability, 10, 10), 128)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0, 0.0), "no subject"),
        ((0.3, 0.3), "no subject"),
        ((0.0, 0.49), "no subject"),
        ((0.5, 1.0), "no background"),
        ((0.9, 0.9), "no background"),
    ],
)
def test_alpha_of_a_picture_without_both_is_refused_and_no_mask(values, said):
    probability = np.full((8, 8), values[0], np.float32)
    probability[3:5, 3:5] = values[1]
    with pytest.raises(Refused, match=f"^No masks found: .*{said}") as caught:
        alpha_of(probability, 8, 8)
    assert caught.value.code == "MaskEmpty"


def test_score_is_the_mean_probability_of_the_subject():
    assert score_of(np.array([[0.2, 0.6], [1.0, 0.4]], np.float32)) == pytest.approx(0.8)


def test_probability_of_a_scene_is_high_on_its_square(tmp_path):
    alpha = alpha_of(network(tmp_path, Bright(320, threshold=0.5)).probability(scene()), 160, 120)
    left, top, right, bottom = SQUARE
    expected = np.zeros((120, 160), np.uint8)
    expected[top:bottom, left:right] = 255
    assert np.mean((alpha > 127) == (expected > 127)) > 0.995


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : … Failed to allocate memory for requested buffer of size 67108864", True),
        ("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : … std::bad_alloc", True),
        ("[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node", False),
    ],
)
def test_memory_that_onnxruntime_lacks_is_told_from_other_failures(said, expected):
    # The first is what it says under a limit of the process' memory.
    assert is_out_of_memory(Fail(said)) is expected
