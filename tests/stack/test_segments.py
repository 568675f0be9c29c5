"""smart-mask and remove-background: real functions and the real model server, natively and as old clients ask."""

import base64
import io
import uuid

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.models import await_model_server, start_model_server
from tests.stack.waiting import until

PERSON = (PORTRAITS / "astronaut.png").read_bytes()

#: A place on her suit, and one beside her.
SUIT, BESIDE = [260, 410], [400, 150]


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def plain() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def invocations(studio, task_id: str) -> list[dict]:
    runs = studio.stand_ins.get("/_sagemaker/invocations").json()
    return [run for run in runs if run["inference_id"].startswith(task_id)]


def click(studio, body: dict, key: str = "studio") -> httpx.Response:
    return studio.http.post("/api/smart-mask", json=body, headers={"x-api-key": studio.keys[key]})


@pytest.fixture(scope="module")
def first(studio) -> dict:
    """The answer to the first click on a picture."""
    answer = click(studio, {"image": in_base64(PERSON), "points": [SUIT], "dilate_amount": 0})
    assert answer.status_code == 200, answer.text
    return answer.json()


def mask_of(answer: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask_base64"]))))


def test_click_of_an_old_client_is_answered_with_the_mask(studio, first):
    mask = mask_of(first)
    assert mask.shape == (512, 512)
    assert (mask[SUIT[1], SUIT[0]], mask[BESIDE[1], BESIDE[0]]) == (255, 0)
    task = studio.read(first["request_id"])
    assert (task["status"], task["result"]["model"]) == ("completed", "segment (stand-in)")


def test_next_click_names_the_picture_whose_embedding_is_kept(studio, first):
    answer = click(studio, {"image_id": first["image_id"], "points": [[430, 420]]})

    assert answer.status_code == 200, answer.text
    assert mask_of(answer.json())[420, 430] == 255
    detail = studio.read(answer.json()["request_id"])["result"]["steps"][0]["detail"]
    assert detail["embedding"] == "kept"


def test_picture_of_another_key_is_not_known(studio, first):
    answer = click(studio, {"image_id": first["image_id"], "points": [SUIT]}, key="trial")
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": f"Image ID not found or expired: {first['image_id']}"},
    )


def test_click_on_nothing_is_told_in_the_words_that_the_browser_looks_for(studio):
    answer = click(studio, {"image": in_base64(plain()), "points": [[20, 20]]})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("No masks found")
    assert answer.json()["image_id"]


def test_all_of_a_native_prompt_arrives(studio, astronaut):
    guide = studio.upload(f"{uuid.uuid4()}.png", plain())
    prompt = {"points": [SUIT, [430, 420]], "labels": [1, 0], "box": [0, 60, 511, 511], "guide_url": guide}
    task = studio.do("smart-mask", {"image_url": astronaut, **prompt, "grow_px": 2, "soften": True})

    assert task["status"] == "completed", task
    mask = np.asarray(studio.picture(task["result_url"]))
    assert (mask[SUIT[1], SUIT[0]], mask[420, 430]) == (255, 0)
    assert len(np.unique(mask)) > 2


def test_text_is_found_first_and_paid_for(studio, astronaut):
    task = studio.do("smart-mask", {"image_url": astronaut, "text": "her face"})

    assert task["status"] == "completed", task
    located, masked = task["result"]["steps"]
    assert (located["step"], masked["step"]) == ("locate-object", "find-mask")
    assert 0 < task["cost_usd"] == pytest.approx(located["cost_usd"], abs=1e-6)
    left, top, right, bottom = located["detail"]["box"]
    assert np.asarray(studio.picture(task["result_url"]))[(top + bottom) // 2, (left + right) // 2] == 255


def test_text_that_names_nothing_there_masks_nothing(studio, astronaut):
    task = studio.do("smart-mask", {"image_url": astronaut, "text": "a banana"})
    assert (task["status"], task["error_detail"]["code"]) == ("failed", "MASK_EMPTY")
    assert invocations(studio, task["task_id"]) == []


def test_background_is_removed_in_an_answer_of_bytes(studio):
    answer = studio.http.post("/api/image-utils/remove-bg", files={"file": ("me.png", PERSON, "image/png")})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    cut = Image.open(io.BytesIO(answer.content))
    assert (cut.mode, cut.size) == ("RGBA", (512, 512))
    assert cut.getpixel(tuple(SUIT))[3] == 255
    assert cut.getpixel(tuple(BESIDE))[3] == 0


def test_picture_and_mask_are_both_made_if_both_are_wanted(studio, astronaut):
    task = studio.do("remove-background", {"image_url": astronaut, "output": "both", "max_side": 256})
    image, mask = (studio.picture(made["result_url"]) for made in task["result"]["images"])
    assert (image.mode, mask.mode, image.size) == ("RGBA", "L", (256, 256))
    assert np.array_equal(np.asarray(image.getchannel("A")), np.asarray(mask))


def test_clicks_on_a_server_that_dies_are_all_answered_once(studio, astronaut):
    ids = [studio.submit("smart-mask", {"image_url": astronaut, "points": [[240 + 10 * n, 400]]}) for n in range(4)]
    pid = int((studio.place.run / "model-server-segment.pid").read_text().split()[0])
    server = psutil.Process(pid)
    server.kill()
    server.wait(10)
    ids.append(studio.submit("smart-mask", {"image_url": astronaut, "points": [SUIT]}))
    start_model_server(studio.place, "segment")
    await_model_server(studio.place, "segment")

    tasks = [studio.finish(task_id, 60) for task_id in ids]
    assert [task["status"] for task in tasks] == ["completed"] * len(ids)
    for task_id in ids:
        runs = until(lambda task_id=task_id: invocations(studio, task_id), "the invocation")
        assert [run["status"] for run in runs][-1] == "completed"
