"""Requests of the IdentityLens app: what they may hold, what is kept of them, and how their light becomes words."""

import base64
import io

import pytest
from PIL import Image
from pydantic import ValidationError

from backlot.errors import FaceUnfit, NoFaceFound
from backlot.faces import KEEP_S, STORE_AGAIN_S, Faces
from backlot.operations.identity_portrait import IdentityPortraitRequest, LightingParams
from backlot.steps._portraits import shaped_prompt

NOISE = Image.effect_noise((400, 400), 40).convert("RGB")
RELATIVE = {"left": 0.1, "top": 0.1, "right": 0.9, "bottom": 0.9}


def jpeg(image: Image.Image = NOISE) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return base64.b64encode(buffer.getvalue()).decode()


def request(face: str | None = None, box: object = RELATIVE, metrics: object = None, **how) -> IdentityPortraitRequest:
    packet = {
        "image": {"cleanFace": jpeg() if face is None else face},
        "facialData": {"boundingBox": box},
        "qualityMetrics": metrics,
    }
    body = {"identity_packet": packet, "master_prompt": "a sailor", "negative_prompt": ""}
    return IdentityPortraitRequest.model_validate(body | how)


class Bucket:
    """A bucket, and the memory of what lies in it."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000
        self.puts: list[tuple[str, bytes]] = []
        self.stored_at: dict[str, int] = {}
        self.faces = Faces(self, self, "assets", lambda: self.now_s * 1000)

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        assert (content_type, cache_control) == ("image/jpeg", "private, no-store")
        self.puts.append((key, body))

    def is_stored(self, digest: str, *, since_s: int) -> bool:
        return self.stored_at.get(digest, 0) >= since_s

    def stored(self, digest: str, *, now_s: int, keep_s: int) -> None:
        assert keep_s == KEEP_S
        self.stored_at[digest] = now_s


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def test_kept_request_has_the_face_beside_it_and_nothing_of_the_packet(bucket):
    kept = request(mode="whatever", seed=5).kept(bucket.faces).model_dump()

    ((key, stored),) = bucket.puts
    assert kept["face_url"] == f"s3://assets/{key}"
    assert key.startswith("faces/")
    assert Image.open(io.BytesIO(stored)).size == (400, 400)
    assert "identity_packet" not in kept
    assert (kept["mode"], kept["seed"], kept["denoising_strength"], kept["fidelity_weight"]) == (
        "quality",
        5,
        0.4,
        0.85,
    )
    assert kept["enable_harmonization"] is True


def test_speed_is_a_mode_of_its_own_and_the_default(bucket):
    assert request().kept(bucket.faces).mode == "speed"


def test_seed_of_minus_one_means_none():
    assert request(seed=-1).seed is None


def test_face_is_stored_again_before_its_hour_is_over_so_that_every_task_finds_it(bucket):
    for seconds, writes in ((0, 1), (STORE_AGAIN_S, 1), (1, 2), (STORE_AGAIN_S, 2)):
        bucket.now_s += seconds
        request().kept(bucket.faces)
        assert len(bucket.puts) == writes
    assert STORE_AGAIN_S < KEEP_S


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("denoising_strength", (0.35, 0.45), (0.3499, 0.4501)),
        ("fidelity_weight", (0.70, 0.95), (0.6999, 0.9501)),
        ("seed", (0, 2**32 - 1), (-2, 2**32)),
    ],
)
def test_numbers_are_held_to_their_range(field, inside, outside):
    for value in inside:
        assert getattr(request(**{field: value}), field) == value
    for value in outside:
        with pytest.raises(ValidationError):
            request(**{field: value})


@pytest.mark.parametrize(
    "box", [RELATIVE, {"x": 40, "y": 40, "width": 320, "height": 320}, {"left": -5, "top": -5, "right": 7, "bottom": 7}]
)
def test_boxes_of_both_forms_are_read(bucket, box):
    assert request(box=box).kept(bucket.faces).face_url


@pytest.mark.parametrize(
    "box",
    [
        None,
        {},
        {"left": 0.5},
        {"left": 0.5, "top": 0, "right": 0.5, "bottom": 1},
        {"left": "wide", "top": 0, "right": 1, "bottom": 1},
        {"left": float("nan"), "top": 0, "right": 1, "bottom": 1},
        {"x": 900, "y": 900, "width": 50, "height": 50},
        {"x": None, "y": 0, "width": 50, "height": 50},
    ],
)
def test_box_that_shows_no_face_is_no_face(bucket, box):
    with pytest.raises(NoFaceFound):
        request(box=box).kept(bucket.faces)
    assert bucket.puts == []


@pytest.mark.parametrize("face", ["", "  ", "BASE64_IMAGE_DATA", "not base64!", "data:image/jpeg;base64,"])
def test_words_instead_of_a_picture_are_no_face(bucket, face):
    with pytest.raises(NoFaceFound):
        request(face).kept(bucket.faces)


def test_picture_may_be_wrapped_in_a_data_url_and_in_lines(bucket):
    text = jpeg()
    lines = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert request(f"data:image/jpeg;base64,{text}").kept(bucket.faces) == request(lines).kept(bucket.faces)


@pytest.mark.parametrize(
    ("face", "problem"),
    [
        (base64.b64encode(b"no picture").decode(), "unread"),
        (jpeg()[:2000], "unread"),
        (jpeg(NOISE.point(lambda value: value // 8)), "dark"),
    ],
)
def test_picture_that_cannot_be_used_says_why(bucket, face, problem):
    with pytest.raises(FaceUnfit) as caught:
        request(face).kept(bucket.faces)
    assert caught.value.fields["problem"] == problem


def test_capture_that_failed_its_own_check_is_not_even_looked_at(bucket):
    with pytest.raises(FaceUnfit, match=r"0\.42"):
        request(metrics={"passed": False, "overallScore": 0.42}).kept(bucket.faces)
    assert request(metrics={"passed": True}).kept(bucket.faces)
    assert request(metrics={}).kept(bucket.faces)


@pytest.mark.parametrize(
    ("lighting", "words"),
    [
        ({"direction": "back"}, ["from behind"]),
        ({"ambient": "blue_night", "temperature": 3200}, ["blue night", "warm light of about 3200 K"]),
        ({"intensity": "high", "temperature": 5600}, ["strong", "neutral white light of about 5600 K"]),
        ({"direction": "from_a_candle"}, ["from a candle"]),
    ],
)
def test_lighting_becomes_words_behind_the_prompt(lighting, words):
    prompt = shaped_prompt("a sailor", LightingParams.model_validate(lighting))
    assert prompt.startswith("a sailor Lighting: ")
    assert all(word in prompt for word in words)


@pytest.mark.parametrize("lighting", [None, LightingParams()])
def test_prompt_without_lighting_is_passed_on_unchanged(lighting):
    assert shaped_prompt("a sailor", lighting) == "a sailor"


def test_empty_prompt_becomes_a_plain_portrait():
    assert "same person" in shaped_prompt("  ", None)
