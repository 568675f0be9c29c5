"""The three face operations, from the request to the picture on the CDN."""

import io

import numpy as np
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.stand_ins.faces import find_faces, read

ASTRONAUT = PORTRAITS / "astronaut.png"


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), np.int16)


def test_face_mask_hides_the_face_and_nothing_else(studio, astronaut):
    task = studio.do("face-mask", {"image_url": astronaut})

    assert task["status"] == "completed"
    masked, source = pixels(studio.picture(task["result_url"])), pixels(Image.open(ASTRONAUT))
    assert masked.shape == source.shape
    left, top, right, bottom = task["result"]["steps"][0]["detail"]["mask_box"]
    assert (masked[int((top + bottom) / 2), int((left + right) / 2)] == 0).all()
    outside = np.ones(masked.shape[:2], bool)
    outside[int(top) : int(bottom) + 2, int(left) : int(right) + 2] = False
    assert (masked[outside] == source[outside]).all()


def test_full_face_swap_shows_the_other_face_and_leaves_the_rest(studio, astronaut, hopper):
    task = studio.do("full-face-swap", {"source_image_url": astronaut, "target_face_url": hopper})

    assert task["status"] == "completed"
    result = studio.picture(task["result_url"])
    assert result.size == (2048, 2048)
    source = Image.open(ASTRONAUT)
    shown = pixels(result.resize(source.size, Image.Resampling.BOX))
    difference = np.abs(shown - pixels(source)).mean(axis=2)
    left, top, right, bottom = task["result"]["steps"][0]["detail"]["mask_box"]
    grow_x, grow_y = 0.15 * (right - left), 0.15 * (bottom - top)
    outside = np.ones(difference.shape, bool)
    outside[int(top - grow_y) : int(bottom + grow_y), int(left - grow_x) : int(right + grow_x)] = False
    assert difference[outside].mean() < 2
    inside = difference[int(top + 10) : int(bottom - 10), int(left + 10) : int(right - 10)]
    assert inside.mean() > 20
    assert find_faces(read(_png(result)))


def test_results_say_what_they_are_and_what_they_cost(studio, astronaut, hopper):
    task = studio.do("full-face-swap", {"source_image_url": astronaut, "target_face_url": hopper})

    result = task["result"]
    assert (result["content_type"], result["width"], result["height"]) == ("image/jpeg", 2048, 2048)
    assert result["provider"] == "ark"
    assert result["model"] == "doubao-seedream-4-0-250828 (stand-in)"
    assert [step["step"] for step in result["steps"]] == ["mask-face", "swap-face"]
    assert task["cost_usd"] == pytest.approx(sum(step["cost_usd"] for step in result["steps"]), abs=1e-6)
    assert task["cost_usd"] > 0.03
    assert task["timings"]["queued_s"] >= 0.1
    for step in task["timings"]["steps"].values():
        assert 0 < step["provider_s"] < step["processing_s"]
    assert studio.picture(result["result_url"]).info["comment"] == b"engine: stand-in"


def test_face_swap_takes_the_mask_of_face_mask(studio, astronaut, hopper):
    mask = studio.do("face-mask", {"image_url": astronaut})["result_url"]

    task = studio.do("face-swap", {"masked_image_url": mask, "target_face_url": hopper, "size": "1024x1024"})

    assert task["status"] == "completed"
    assert studio.picture(task["result_url"]).size == (1024, 1024)
    assert task["result_url"].startswith(f"{studio.place.front_door}/seedream/")


@pytest.mark.parametrize("how", ["skip_mask", "own mask by CDN URL", "own mask by s3 URL"])
def test_full_face_swap_of_a_masked_picture_detects_nothing(studio, astronaut, hopper, how):
    mask = studio.do("face-mask", {"image_url": astronaut})["result_url"]
    key = mask.removeprefix(f"{studio.place.front_door}/")
    data = studio.aws("s3").get_object(Bucket=studio.outputs["BucketName"], Key=key)["Body"].read()
    body = {
        "skip_mask": {"source_image_url": studio.upload("masked-elsewhere.png", data), "skip_mask": True},
        "own mask by CDN URL": {"source_image_url": mask},
        "own mask by s3 URL": {"source_image_url": f"s3://{studio.outputs['BucketName']}/{key}"},
    }[how]
    studio.forget_calls()

    task = studio.do("full-face-swap", body | {"target_face_url": hopper})

    assert task["status"] == "completed"
    assert studio.calls() == {"ark": 1, "ark-results": 1}


def test_picture_from_a_foreign_host_is_fetched(studio, hopper):
    data = (PORTRAITS / "astronaut.png").read_bytes()
    studio.stand_ins.put("/_pictures/scene", content=data, headers={"X-Header-Content-Type": "text/plain"})

    task = studio.do("face-mask", {"image_url": f"{studio.place.stand_ins}/pictures/scene"})

    assert task["status"] == "completed"


def test_second_face_is_found_by_its_index(studio):
    one = Image.open(ASTRONAUT).convert("RGB")
    two = Image.new("RGB", (1024, 512))
    two.paste(one, (0, 0))
    two.paste(one, (512, 0))
    url = studio.upload("two.png", _png(two))

    boxes = [studio.do("face-mask", {"image_url": url, "face_index": index}) for index in (0, 1)]

    lefts = [task["result"]["steps"][0]["detail"]["mask_box"][0] for task in boxes]
    assert sorted(lefts) == [pytest.approx(187, abs=20), pytest.approx(699, abs=20)]


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
