"""ComfyUI's stand-in: uploads, downloads, and what it tells of itself."""

import io
from collections.abc import Iterator

import pytest
from PIL import Image

from tests.wire.comfyui import Comfyui, node, picture, save, scaling, serving


@pytest.fixture
def comfyui(tmp_path) -> Iterator[Comfyui]:
    with serving(tmp_path) as client:
        yield client


OTHER = picture(color=(0, 0, 255))
CLEAR = picture(color=(200, 120, 40, 100), mode="RGBA")


class TestUpload:
    def test_answer_names_the_file(self, comfyui):
        assert comfyui.upload(name="b.png").json() == {"name": "b.png", "subfolder": "", "type": "input"}
        assert comfyui.state()["uploads"][-1]["bytes"] == len(picture())

    def test_other_bytes_get_another_name_and_the_same_bytes_keep_it(self, comfyui):
        names = [comfyui.upload(data).json()["name"] for data in (picture(), OTHER, OTHER, CLEAR)]
        assert names == ["a.png", "a (1).png", "a (1).png", "a (2).png"]
        assert comfyui.view({"filename": "a.png", "type": "input"}).content == picture()

    @pytest.mark.parametrize("told", ["true", "1"])
    def test_overwriting_replaces(self, comfyui, told):
        assert comfyui.upload(OTHER, overwrite=told).json()["name"] == "a.png"
        assert comfyui.view({"filename": "a.png", "type": "input"}).content == OTHER

    def test_subfolders_and_other_folders_can_be_loaded_from(self, comfyui):
        comfyui.upload(OTHER, "b.png", subfolder="mine/today")
        comfyui.upload(OTHER, "b.png", type="output")
        for name in ("mine/today/b.png", "b.png [output]", "a.png [input]"):
            assert comfyui.run(scaling(name))["status"]["completed"] is True

    @pytest.mark.parametrize(
        ("name", "form"), [("../b.png", {}), ("b.png", {"subfolder": "../.."}), ("b.png", {"type": "elsewhere"})]
    )
    def test_places_outside_are_refused(self, comfyui, name, form):
        assert comfyui.upload(name=name, **form).status_code == 400

    def test_form_without_a_file_is_refused(self, comfyui):
        assert comfyui.http.post("/upload/image", data={"type": "input"}).status_code == 400

    def test_mask_gives_its_alpha_to_the_original(self, comfyui):
        form = {"original_ref": '{"filename": "a.png", "type": "input"}'}
        files = {"image": ("masked.png", CLEAR)}
        stored = comfyui.http.post("/upload/mask", files=files, data=form).json()
        assert stored == {"name": "masked.png", "subfolder": "", "type": "input"}
        seen = Image.open(io.BytesIO(comfyui.view({"filename": "masked.png", "type": "input"}).content))
        assert (seen.mode, seen.getpixel((0, 0))) == ("RGBA", (200, 120, 40, 100))


class TestView:
    def test_file_comes_as_it_is(self, comfyui):
        answer = comfyui.view({"filename": "a.png", "type": "input"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.headers["Content-Disposition"] == 'filename="a.png"'
        assert answer.content == picture()

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ({}, 404),
            ({"filename": "b.png"}, 404),
            ({"filename": ""}, 400),
            ({"filename": "../a.png", "type": "input"}, 400),
            ({"filename": "/etc/passwd"}, 400),
            ({"filename": "a.png", "type": "elsewhere"}, 400),
            ({"filename": "a.png", "type": "input", "subfolder": "../.."}, 403),
            ({"filename": "a.png [input]"}, 200),
        ],
    )
    def test_what_is_not_there_or_not_allowed_is_refused(self, comfyui, query, status):
        assert comfyui.http.get("/view", params=query).status_code == status

    @pytest.mark.parametrize(
        ("query", "form", "mode"),
        [
            ({"preview": "webp;50"}, "WEBP", "RGBA"),
            ({"preview": "jpeg"}, "JPEG", "RGB"),
            ({"preview": "tiff;90"}, "WEBP", "RGBA"),
            ({"preview": "jpeg", "channel": "a"}, "WEBP", "RGBA"),
            ({"channel": "rgb"}, "PNG", "RGB"),
            ({"channel": "a"}, "PNG", "RGBA"),
            ({"channel": "rgba"}, "PNG", "RGBA"),
        ],
    )
    def test_previews_and_channels_are_made(self, comfyui, query, form, mode):
        comfyui.upload(CLEAR, "clear.png")
        answer = comfyui.view({"filename": "clear.png", "type": "input"}, **query)
        seen = Image.open(io.BytesIO(answer.content))
        assert answer.headers["Content-Type"] == f"image/{form.lower()}"
        assert (seen.format, seen.mode, seen.size) == (form, mode, (64, 48))

    def test_channel_a_shows_the_transparency_alone(self, comfyui):
        comfyui.upload(CLEAR, "clear.png")
        answer = comfyui.view({"filename": "clear.png", "type": "input"}, channel="a")
        assert Image.open(io.BytesIO(answer.content)).getpixel((0, 0)) == (0, 0, 0, 100)

    def test_page_is_no_page_for_a_browser(self, comfyui):
        comfyui.upload(b"<script>", "a.html")
        answer = comfyui.view({"filename": "a.html", "type": "input"})
        assert answer.headers["Content-Type"] == "application/octet-stream"


class TestAbout:
    def test_classes_are_shown_with_what_can_be_loaded(self, comfyui):
        everything = comfyui.http.get("/object_info").json()
        assert everything["LoadImage"]["input"]["required"]["image"][0] == ["a.png"]
        (models, *_) = everything["UNETLoader"]["input"]["required"]["unet_name"]
        assert models == comfyui.http.get("/models/diffusion_models").json()
        assert comfyui.http.get("/object_info/UNETLoader").json() == {"UNETLoader": everything["UNETLoader"]}

    def test_unknown_class_is_an_empty_answer(self, comfyui):
        answer = comfyui.http.get("/object_info/Unknown")
        assert (answer.status_code, answer.json()) == (200, {})

    def test_model_folders_are_listed(self, comfyui):
        assert "loras" in comfyui.http.get("/models").json()
        assert comfyui.http.get("/models/unknown").status_code == 404

    def test_version_says_that_it_is_a_stand_in(self, comfyui, tmp_path):
        stats = comfyui.http.get("/system_stats").json()
        assert stats["system"]["comfyui_version"] == "0.3.64+stand-in"
        assert stats["devices"][0].keys() >= {"name", "type", "index", "vram_total", "torch_vram_free"}
        with serving(tmp_path / "newer", "0.33") as newer:
            assert newer.http.get("/system_stats").json()["system"]["comfyui_version"] == "0.33.0+stand-in"

    def test_every_route_is_there_with_the_prefix_too(self, comfyui):
        for path in ("/prompt", "/queue", "/history", "/system_stats", "/object_info/LoadImage", "/features"):
            assert comfyui.http.get(f"/api{path}").content == comfyui.http.get(path).content

    def test_pages_of_other_origins_are_kept_out(self, comfyui):
        host = comfyui.origin.removeprefix("http://")
        for origin, status in ((f"http://{host}", 200), ("https://evil.example", 403)):
            assert comfyui.http.get("/queue", headers={"Origin": origin}).status_code == status


class TestLoading:
    def test_file_that_is_no_picture_fails_the_prompt(self, comfyui):
        comfyui.upload(b"no picture", "b.png")
        name, told = comfyui.run(scaling("b.png"))["status"]["messages"][-1]
        assert (name, told["node_id"], told["exception_type"]) == (
            "execution_error",
            "1",
            "PIL.UnidentifiedImageError",
        )

    def test_turned_photo_is_loaded_upright(self, comfyui):
        exif = Image.Exif()
        exif[0x112] = 6
        comfyui.upload(picture(64, 48, exif=exif), "turned.png")
        graph = {"1": node("LoadImage", image="turned.png"), "3": save(["1", 0])}
        assert comfyui.picture(graph, "3").size == (48, 64)

    @pytest.mark.parametrize(("data", "size", "grey"), [(picture(), (64, 64), 0), (CLEAR, (64, 48), 155)])
    def test_mask_is_the_transparency_or_an_empty_one_of_its_own_size(self, comfyui, data, size, grey):
        comfyui.upload(data, "b.png")
        shown = node("MaskToImage", mask=["1", 1])
        graph = {"1": node("LoadImage", image="b.png"), "2": shown, "3": save(["2", 0])}
        result = comfyui.picture(graph, "3")
        assert (result.size, result.getpixel((0, 0))) == (size, (grey, grey, grey))
