"""ComfyUI's stand-in: what its nodes make."""

import io
import json
from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image

from local.place import ROOT
from local.stand_ins.comfyui import camera
from tests.wire.comfyui import Comfyui, editing, node, picture, save, serving


@pytest.fixture
def comfyui(tmp_path) -> Iterator[Comfyui]:
    with serving(tmp_path) as client:
        client.upload(picture(32, 32, (0, 0, 255)), "blue.png")
        client.upload((ROOT / "local/portraits/astronaut.png").read_bytes(), "person.png")
        yield client


PHOTO, BLUE = ["1", 0], ["2", 0]
COLOR, SIZE = (200, 120, 40), (64, 48)


def graph(**tested) -> dict:
    """A node `t` is tested; what it makes is saved by `s`."""
    loads = {"1": node("LoadImage", image="a.png"), "2": node("LoadImage", image="blue.png")}
    return loads | {"s": save(["t", 0])} | tested


def difference(one: Image.Image, two: Image.Image) -> float:
    """How far two pictures are apart, in steps of 0 to 255."""
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(two, np.float32)).mean())


@pytest.mark.parametrize(
    ("tested", "size", "color"),
    [
        (
            node("ImageScale", image=PHOTO, upscale_method="lanczos", width=20, height=0, crop="disabled"),
            (20, 15),
            COLOR,
        ),
        (node("ImageScale", image=PHOTO, upscale_method="bicubic", width=9, height=9, crop="center"), (9, 9), COLOR),
        (node("ImageScale", image=PHOTO, upscale_method="area", width=0, height=0, crop="center"), SIZE, COLOR),
        (node("ImageScaleBy", image=PHOTO, upscale_method="nearest-exact", scale_by=1.5), (96, 72), COLOR),
        (
            node("ImageScaleToTotalPixels", image=PHOTO, upscale_method="bilinear", megapixels=0.01),
            (118, 89),
            COLOR,
        ),
        (node("FluxKontextImageScale", image=PHOTO), (1184, 880), COLOR),
        (
            node("ImageBlend", image1=PHOTO, image2=BLUE, blend_factor=0.5, blend_mode="normal"),
            SIZE,
            (100, 60, 147),
        ),
        (node("ImageBlend", image1=PHOTO, image2=BLUE, blend_factor=1.0, blend_mode="multiply"), SIZE, (0, 0, 40)),
        (node("ImageBlend", image1=PHOTO, image2=BLUE, blend_factor=1.0, blend_mode="difference"), SIZE, (200, 120, 0)),
        (node("ImageBlur", image=PHOTO, blur_radius=3, sigma=1.0), SIZE, COLOR),
        (node("ImageSharpen", image=PHOTO, sharpen_radius=1, sigma=1.0, alpha=1.0), SIZE, COLOR),
        (node("ImageInvert", image=PHOTO), SIZE, (55, 135, 215)),
        (node("ImageCrop", image=PHOTO, width=100, height=10, x=60, y=5), (4, 10), COLOR),
        (node("ImageRotate", image=PHOTO, rotation="90 degrees"), (48, 64), COLOR),
        (node("ImageFlip", image=PHOTO, flip_method="y-axis: horizontally"), SIZE, COLOR),
        (node("ImageCompositeMasked", destination=PHOTO, source=BLUE, x=0, y=0, resize_source=True), SIZE, (0, 0, 255)),
        (node("ImageCompositeMasked", destination=PHOTO, source=BLUE, x=60, y=90, resize_source=False), SIZE, COLOR),
        (node("EmptyImage", width=8, height=4, batch_size=1, color=0x3366CC), (8, 4), (51, 102, 204)),
        (
            node("ImagePadForOutpaint", image=PHOTO, left=8, top=0, right=0, bottom=16, feathering=0),
            (72, 64),
            (127, 127, 127),
        ),
    ],
)
def test_image_node_makes_what_comfyui_makes(comfyui, tested, size, color):
    result = comfyui.picture(graph(t=tested), "s")
    assert (result.size, result.mode) == (size, "RGB")
    assert np.abs(np.subtract(result.getpixel((0, 0)), color)).max() <= 1


@pytest.mark.parametrize(
    ("tested", "grey"),
    [
        (node("ImageToMask", image=PHOTO, channel="green"), 120),
        (node("LoadImageMask", image="a.png", channel="red"), 200),
        (node("InvertMask", mask=["m", 0]), 55),
        (node("GrowMask", mask=["m", 0], expand=3, tapered_corners=True), 200),
        (node("FeatherMask", mask=["m", 0], left=10, top=0, right=0, bottom=0), 20),
    ],
)
def test_mask_node_makes_what_comfyui_makes(comfyui, tested, grey):
    given = {"m": node("ImageToMask", image=PHOTO, channel="red"), "k": tested, "t": node("MaskToImage", mask=["k", 0])}
    assert abs(comfyui.picture(graph(**given), "s").getpixel((0, 0))[0] - grey) <= 1


def test_batch_is_saved_as_several_files_in_a_subfolder(comfyui):
    batch = graph(t=node("ImageBatch", image1=PHOTO, image2=BLUE)) | {"s": save(["t", 0], "mine/set")}
    files = comfyui.run(batch)["outputs"]["s"]["images"]
    assert files == [{"filename": f"set_0000{number}_.png", "subfolder": "mine", "type": "output"} for number in (1, 2)]
    first, second = (Image.open(io.BytesIO(comfyui.view(file).content)) for file in files)
    assert (first.size, first.getpixel((0, 0)), second.getpixel((0, 0))) == (SIZE, COLOR, (0, 0, 255))


def test_numbers_go_on_after_the_highest_that_is_there(comfyui):
    comfyui.upload(picture(), "out_00041_.png", type="output")
    saved = {"1": node("LoadImage", image="a.png"), "s": save(["1", 0])}
    assert comfyui.run(saved)["outputs"]["s"]["images"][0]["filename"] == "out_00042_.png"


def test_prefix_that_leads_outside_fails_the_prompt(comfyui):
    entry = comfyui.run({"1": node("LoadImage", image="a.png"), "s": save(["1", 0], "../../out")})
    name, told = entry["status"]["messages"][-1]
    assert (name, told["node_id"], told["node_type"]) == ("execution_error", "s", "SaveImage")
    assert entry["outputs"] == {}


def test_file_holds_the_prompt_and_says_that_it_is_a_stand_ins(comfyui):
    sent = editing("a.png")
    entry = comfyui.run(sent, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})
    text = comfyui.result(entry).text
    assert (json.loads(text["prompt"]), json.loads(text["workflow"])) == (sent, {"id": "w"})
    assert text["engine"] == "stand-in"


def test_preview_is_a_temporary_file(comfyui):
    entry = comfyui.run({"1": node("LoadImage", image="a.png"), "p": node("PreviewImage", images=PHOTO)})
    (file,) = entry["outputs"]["p"]["images"]
    assert file["type"] == "temp"
    assert comfyui.view(file).status_code == 200


def test_animation_has_all_frames(comfyui):
    saved = {"images": ["t", 0], "filename_prefix": "loop", "fps": 6.0, "lossless": True, "quality": 80}
    moving = graph(
        t=node("ImageBatch", image1=PHOTO, image2=BLUE), s=node("SaveAnimatedWEBP", **saved, method="fastest")
    )
    output = comfyui.run(moving)["outputs"]["s"]
    assert output["animated"] == [True]
    shown = comfyui.view(output["images"][0])
    assert shown.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(shown.content)).n_frames == 2


def test_video_can_be_played(comfyui, tmp_path):
    video = node("CreateVideo", images=["b", 0], fps=6.0)
    saved = node("SaveVideo", video=["t", 0], filename_prefix="video/film", format="auto", codec="auto")
    batch = node("ImageBatch", image1=PHOTO, image2=BLUE)
    output = comfyui.run(graph(b=batch, t=video, s=saved))["outputs"]["s"]
    assert output["images"] == [{"filename": "film_00001_.mp4", "subfolder": "video", "type": "output"}]
    assert output["animated"] == [True]
    shown = comfyui.view(output["images"][0])
    assert shown.headers["Content-Type"] == "video/mp4"
    (tmp_path / "film.mp4").write_bytes(shown.content)
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 2
    film.release()


def test_sound_is_flac_of_the_length_that_was_asked_for(comfyui):
    sound = node("EmptyAudio", duration=0.5, sample_rate=8000, channels=1)
    entry = comfyui.run({"t": sound, "s": node("SaveAudio", audio=["t", 0], filename_prefix="audio/quiet")})
    (file,) = entry["outputs"]["s"]["audio"]
    assert file == {"filename": "quiet_00001_.flac", "subfolder": "audio", "type": "output"}
    data = comfyui.view(file).content
    assert data[:4] == b"fLaC"
    assert int.from_bytes(data[21:26], "big") & 0xFFFFFFFFF == 4000


class TestDiffusion:
    def test_same_request_makes_the_same_picture_and_another_seed_almost(self, comfyui):
        first = comfyui.picture(editing("person.png", seed=1))
        comfyui.http.post("/free", json={"free_memory": True})
        again = comfyui.picture(editing("person.png", seed=1))
        other = comfyui.picture(editing("person.png", seed=2))
        assert difference(first, again) == 0
        assert 0 < difference(first, other) < 8

    def test_instructions_change_the_picture_visibly(self, comfyui):
        kept = comfyui.picture(editing("person.png", "keep the picture as it is"))
        for prompt in ("make it warm", "a night scene", "anime", "give her a hat"):
            assert difference(kept, comfyui.picture(editing("person.png", prompt))) > 8

    def test_picture_keeps_the_size_of_the_latent(self, comfyui):
        comfyui.upload(picture(93, 61), "odd.png")
        assert comfyui.picture(editing("odd.png")).size == (88, 56)

    def test_weaker_denoising_changes_less(self, comfyui):
        kept = comfyui.picture(editing("person.png", "keep the picture as it is"))
        strong, weak = (comfyui.picture(editing("person.png", "a night scene", denoise=share)) for share in (1.0, 0.3))
        assert difference(kept, weak) < difference(kept, strong) / 2

    def test_further_pictures_are_seen_in_the_result(self, comfyui):
        alone = comfyui.picture(editing("person.png"))
        sent = editing("person.png")
        sent["11"]["inputs"] |= {"image2": ["b", 0], "image3": ["b", 0]}
        with_blue = comfyui.picture(sent | {"b": node("LoadImage", image="blue.png")})

        def blue(image: Image.Image) -> int:
            return int(
                (np.asarray(image) > (-1, -1, 245)).all(axis=2).sum() - (np.asarray(image) > 100).all(axis=2).sum()
            )

        assert blue(with_blue) > blue(alone) + 5000

    def test_text_alone_makes_a_picture(self, comfyui):
        sent = editing("a.png", "a mountain lake")
        sent["11"] = node("CLIPTextEncode", text="a mountain lake", clip=["38", 0])
        sent["88"] = node("EmptyLatentImage", width=128, height=96, batch_size=2)
        assert len(comfyui.run(sent)["outputs"]["9"]["images"]) == 2

    def test_turned_camera_brings_one_side_nearer(self, comfyui):
        bars = Image.new("RGB", (256, 256), (40, 40, 40))
        bars.paste((255, 255, 255), (40, 64, 60, 192))
        bars.paste((255, 255, 255), (196, 64, 216, 192))
        encoded = io.BytesIO()
        bars.save(encoded, "PNG")
        comfyui.upload(encoded.getvalue(), "bars.png")

        def heights(prompt: str) -> tuple[int, int]:
            seen = np.asarray(comfyui.picture(editing("bars.png", prompt)).convert("L"))[:230]
            halves = (half for half in (seen[:, :128], seen[:, 128:]))
            left, right = (int((half > 180).sum(axis=0).max()) for half in halves)
            return left, right

        left, right = heights("Rotate the camera 90 degrees to the left")
        assert left > 1.3 * right
        left, right = heights("将镜头向右旋转90度")
        assert right > 1.3 * left
        nearer, same, farther = (
            heights(prompt)[0] for prompt in ("Move the camera forward", "keep it the same", "将镜头转为广角镜头")
        )
        assert nearer > 1.2 * same > 1.2 * 1.2 * farther


MOVES = [
    ("将镜头向左旋转45度", "Rotate the camera 45 degrees to the left.", camera.Move(right=-45)),
    ("将镜头向右旋转90度", "Rotate the camera 90 degrees to the right.", camera.Move(right=90)),
    ("将镜头向上移动", "Move the camera up.", camera.Move(up=1)),
    ("将镜头向下移动", "Move the camera down.", camera.Move(up=-1)),
    ("将镜头转为俯视", "Turn the camera to a top-down bird's-eye view.", camera.Move(up=2)),
    ("仰视", "Turn the camera to an extreme low angle from the ground, looking up.", camera.Move(up=-2)),
    ("将镜头向前移动", "Move the camera forward", camera.Move(closer=1)),
    ("将镜头转为特写镜头", "Turn the camera to a close-up", camera.Move(closer=1)),
    ("将镜头转为广角镜头", "Turn the camera to a wide-angle lens", camera.Move(closer=-1)),
    ("将镜头向后移动", "Move the camera back and show more of the surroundings.", camera.Move(closer=-1)),
    ("将镜头向左移动", "Move the camera left", camera.Move(aside=-1)),
    ("将镜头向右移动", "Move the camera right", camera.Move(aside=1)),
]


@pytest.mark.parametrize(("chinese", "english", "move"), MOVES)
def test_phrases_of_the_camera_lora_are_understood_in_both_languages(chinese, english, move):
    assert {camera.read(chinese), camera.read(english), camera.read(f"{chinese} {english}")} == {move}


def test_moves_are_understood_together():
    turns, ups, zooms = MOVES[:2], MOVES[2:6], MOVES[6:10]
    for (*turn, turned), (*up, upped), (*zoom, zoomed) in product(turns, ups, zooms):
        together = camera.Move(turned.right, upped.up, zoomed.closer)
        assert camera.read(" ".join([*turn, *up, *zoom])) == together


def test_instruction_without_a_move_is_none():
    assert camera.read("保持画面不变 Keep the picture as it is.") is None
    assert camera.read("make the dress red and turn left the lamp") is None
