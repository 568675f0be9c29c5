"""Faces: from the detector's maps to boxes, alignment, and the numbers of a face."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from bench.flux_checkpoint import write_detector, write_embedder
from sagemaker_models.flux.antelope import BOXES, STRIDES, ArcFace, Scrfd, decode, similarity, suppress
from sagemaker_models.flux.faces import FFHQ, Face, align, largest
from sagemaker_models.serving.model import WeightsInvalid

#: Points of a face in a square of side 1.
POINTS = np.array(((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)))


def face(left, top, right, bottom, score=0.9):
    box = (float(left), float(top), float(right), float(bottom))
    return Face(box, POINTS * (right - left, bottom - top) + (left, top), score)


def maps(side_px, faces):
    """The detector's outputs that stand for faces: (stride, row, column, which box, score, edges, points) in cells."""
    counts = [(side_px // stride) ** 2 * BOXES for stride in STRIDES]
    made = [np.zeros((count, length), np.float32) for length in (1, 4, 10) for count in counts]
    for stride, row, column, box, score, edges, points in faces:
        number = STRIDES.index(stride)
        place = (row * (side_px // stride) + column) * BOXES + box
        made[number][place], made[number + 3][place], made[number + 6][place] = score, edges, points
    return made


class Watched:
    """A network that notes what it is given, and sees nothing in pictures of one size."""

    def __init__(self, session, seen, blind_at=0):
        self._session, self._seen, self._blind_at = session, seen, blind_at

    def run(self, outputs, fed):
        (pixels,) = fed.values()
        self._seen.append(pixels)
        made = self._session.run(outputs, fed)
        return [part * 0 for part in made] if pixels.shape[2] == self._blind_at else made


@pytest.fixture(scope="module")
def antelope(tmp_path_factory):
    folder = tmp_path_factory.mktemp("antelopev2")
    write_detector(folder / "detector.onnx")
    write_embedder(folder / "embedder.onnx")
    return Scrfd(folder / "detector.onnx"), ArcFace(folder / "embedder.onnx")


@pytest.mark.parametrize("batched", [False, True])
def test_decode_gives_boxes_and_points_in_the_pictures_pixels(batched):
    found = [
        (8, 3, 5, 1, 0.8, (1, 2, 3, 4), range(10)),
        (32, 1, 0, 0, 0.5, (0, 0, 1, 1), [0.5] * 10),
        (16, 2, 2, 0, 0.499, (1, 1, 1, 1), [0] * 10),
    ]
    outputs = maps(64, found)
    made = decode([part[None] for part in outputs] if batched else outputs, 64, factor=0.5)
    assert [round(each.score, 3) for each in made] == [0.8, 0.5]
    # Cell (row 3, column 5) of stride 8 begins at (40, 24); the picture is twice as large.
    assert made[0].box == (64, 16, 128, 112)
    np.testing.assert_allclose(made[0].points[0], (80, 48 + 16))
    np.testing.assert_allclose(made[0].points[4], (80 + 8 * 16, 48 + 9 * 16))
    assert made[1].box == (0, 64, 64, 128)


def test_suppress_keeps_the_surest_of_boxes_over_each_other():
    sure, under, beside = face(0, 0, 99, 99, 0.9), face(20, 0, 119, 99, 0.8), face(50, 0, 149, 99, 0.7)
    # Of 100 columns each, 80 of 120 are shared, then 50 of 150.
    assert suppress([beside, under, sure]) == [sure, beside]


def test_largest_is_that_of_the_largest_box():
    small, large = face(0, 0, 10, 10, 0.99), face(0, 0, 20, 9, 0.6)
    assert largest([small, large]) is large
    assert largest([]) is None


def test_similarity_finds_the_turn_that_was_made():
    turn = np.array(((1.2, -0.7, 30), (0.7, 1.2, -5)))
    target = POINTS @ turn[:, :2].T + turn[:, 2]
    np.testing.assert_allclose(similarity(POINTS, target), turn, atol=1e-12)


def test_similarity_of_points_that_do_not_fit_is_the_nearest():
    random = np.random.default_rng(0)
    target = random.normal(size=(5, 2))
    found = similarity(POINTS, target)

    def distance(matrix):
        return np.sum((POINTS @ matrix[:, :2].T + matrix[:, 2] - target) ** 2)

    for _ in range(100):
        scale, turn, right, down = random.normal(0, 0.05, 4)
        change = np.array(((scale, -turn, right), (turn, scale, down)))
        assert distance(found + change) >= distance(found)


def test_align_puts_the_points_where_ffhq_has_them():
    """Dots on the points of a turned face lie on FFHQ's places afterwards."""
    turn = np.array(((0.5, 0.15), (-0.15, 0.5)))
    points = FFHQ @ turn.T + (100, 180)
    rgb = np.full((400, 500, 3), 90, np.uint8)
    for x, y in points.round().astype(int):
        rgb[y - 2 : y + 3, x - 2 : x + 3] = (250, 0, 0)
    made = align(rgb, Face((0, 0, 1, 1), points, 0.9))
    assert made.shape == (512, 512, 3)
    for x, y in FFHQ.round().astype(int):
        assert made[y, x, 0] > 200
        assert made[y, x + 20, 0] < 120


def test_align_lays_what_is_outside_on_the_published_grey():
    points = FFHQ * 0.2 - (10, 10)
    made = align(np.full((60, 60, 3), 10, np.uint8), Face((0, 0, 1, 1), points, 0.9))
    assert tuple(made[-1, -1]) == (132, 133, 135)


def test_align_of_points_that_are_one_is_refused():
    assert align(np.zeros((60, 60, 3), np.uint8), Face((0, 0, 1, 1), np.zeros((5, 2)), 0.9)) is None


@pytest.mark.parametrize(("width", "height"), [(600, 400), (400, 600), (1280, 1280)])
def test_detector_finds_a_face_where_it_is(antelope, width, height):
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[100:200, 200:300, 0] = 255
    detector, _ = antelope
    left, top, right, bottom = largest(detector.find(rgb)).box
    assert abs((left + right) / 2 - 250) < 60
    assert abs((top + bottom) / 2 - 150) < 60


def test_detector_looks_again_at_a_smaller_size_if_it_finds_nobody(antelope, monkeypatch):
    detector, _ = antelope
    seen = []
    monkeypatch.setattr(detector, "_session", Watched(detector._session, seen, blind_at=640))
    rgb = np.full((640, 640, 3), (255, 0, 0), np.uint8)
    assert detector.find(rgb)
    assert [pixels.shape for pixels in seen] == [(1, 3, 640, 640), (1, 3, 128, 128)]


def test_detector_sees_nobody_in_a_picture_without_red(antelope):
    detector, _ = antelope
    assert detector.find(np.full((300, 400, 3), (0, 200, 90), np.uint8)) == []


def test_detector_and_embedder_get_red_first_in_their_ranges(antelope, monkeypatch):
    detector, embedder = antelope
    seen = []
    for network in antelope:
        monkeypatch.setattr(network, "_session", Watched(network._session, seen))
    rgb = np.full((640, 640, 3), (255, 250, 127), np.uint8)
    rgb[200:400, 200:400, 1] = 0
    detector.find(rgb)
    embedder.embed(rgb, face(200, 200, 400, 400))
    np.testing.assert_allclose(seen[0][0, :, 300, 300], (127.5 / 128, -127.5 / 128, -0.5 / 128), rtol=1e-6)
    np.testing.assert_allclose(seen[-1][0, :, 56, 56], (1, -1, -0.5 / 127.5), rtol=1e-6)
    assert seen[-1].shape == (1, 3, 112, 112)


def test_embedder_describes_the_same_face_alike_wherever_it_is(antelope):
    _, embedder = antelope
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (10, 10, 3), np.uint8)
    rgb = np.zeros((400, 400, 3), np.uint8)
    rgb[50:150, 50:150] = small.repeat(10, 0).repeat(10, 1)
    rgb[200:300, 230:330] = rgb[50:150, 50:150]
    one, same = (embedder.embed(rgb, face(*box)) for box in ((50, 50, 150, 150), (230, 200, 330, 300)))
    assert one.shape == (512,)
    np.testing.assert_allclose(one, same, atol=1e-4)
    rgb[200:300, 230:330] = 255 - rgb[200:300, 230:330]
    assert np.abs(one - embedder.embed(rgb, face(230, 200, 330, 300))).max() > 0.1


def test_files_that_are_no_such_networks_are_refused(tmp_path):
    missing, broken, other = (tmp_path / name for name in ("missing.onnx", "broken.onnx", "other.onnx"))
    broken.write_bytes(b"no network")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 112, 112])
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, [1, 3 * 112 * 112])
    graph = helper.make_graph([helper.make_node("Flatten", ["pixels"], ["made"])], "other", [pixels], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    other.write_bytes(model.SerializeToString())
    write_detector(tmp_path / "detector.onnx")
    for kind, path, reason in (
        (Scrfd, missing, "missing.onnx is missing; unpack insightface's antelopev2"),
        (ArcFace, broken, "broken.onnx cannot be read as a network"),
        (Scrfd, other, "has 1 outputs, expected 9"),
        (ArcFace, other, r"makes \(37632,\), expected \(512,\)"),
        (ArcFace, tmp_path / "detector.onnx", r"takes \[3, 'height', 'width'\], expected \[3, 112, 112\]"),
    ):
        with pytest.raises(WeightsInvalid, match=reason):
            kind(path)
