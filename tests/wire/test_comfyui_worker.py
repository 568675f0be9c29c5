"""The worker of the GPU lane beside a stand-in of ComfyUI: what it makes, and what it tells."""

import io
import itertools

import pytest
from PIL import Image

from tests.wire.gpu_lane import CDN, EDIT, in_loop, inverted, png, site, until

RESULTS = "images/comfyui-results"


@pytest.mark.parametrize("protocol", ["0.3", "0.33"])
@in_loop
async def test_graph_of_a_caller_is_run_and_its_picture_stored(tmp_path, protocol):
    async with site(tmp_path, protocol=protocol) as place:
        place.hosts.pictures[EDIT["image_url"]] = png("white")
        task_id = place.submit("comfyui-workflow", inverted())
        kind, output = await place.answer(task_id)
        await place.is_settled()
    key = f"{RESULTS}/comfyui-workflow/{task_id}.png"
    assert kind == "done"
    assert output["images"] == [{"result_url": f"{CDN}/{key}", "width": 32, "height": 24, "content_type": "image/png"}]
    assert output["detail"]["outputs"] == [{"node": "9", "result_url": f"{CDN}/{key}"}]
    assert output["detail"]["engine"] == "stand-in"
    assert place.objects.types == {key: "image/png"}
    assert Image.open(io.BytesIO(place.objects.kept[key])).getpixel((0, 0)) == (0, 0, 0)


@in_loop
async def test_picture_of_ours_is_read_from_the_bucket(tmp_path):
    async with site(tmp_path) as place:
        place.objects.put("uploads/a.png", png("white"), content_type="image/png", cache_control="")
        task_id = place.submit("comfyui-workflow", inverted("s3://assets/uploads/a.png"))
        await place.answer(task_id)
    made = place.objects.kept[f"{RESULTS}/comfyui-workflow/{task_id}.png"]
    assert Image.open(io.BytesIO(made)).getpixel((0, 0)) == (0, 0, 0)


@in_loop
async def test_request_is_run_by_the_workflow_of_its_operation(tmp_path):
    async with site(tmp_path) as place:
        place.hosts.pictures["https://pictures.example/b.png"] = png("red", (48, 48))
        task_id = place.submit("qwen-image-edit", EDIT | {"image2_url": "https://pictures.example/b.png"})
        kind, output = await place.answer(task_id)
        state = await place.comfyui.state()
    assert kind == "done", output
    assert output["detail"]["seed"] == 7
    assert output["provider"] == "comfyui"
    assert len(state["uploads"]) == 2
    assert output["timings"]["provider_s"] > 0


@in_loop
async def test_same_graph_again_makes_a_file_of_its_own(tmp_path):
    async with site(tmp_path) as place:
        tasks = [place.submit("comfyui-workflow", inverted()) for _ in range(2)]
        answers = [await place.answer(task_id) for task_id in tasks]
        state = await place.comfyui.state()
    assert [kind for kind, _ in answers] == ["done", "done"]
    assert len({Image.open(io.BytesIO(body)).tobytes() for body in place.objects.kept.values()}) == 1
    assert len(list((tmp_path / "output").rglob("*.png"))) == 2
    # The picture was known: only the node that saves it ran again.
    assert state["prompts"][1]["nodes"] == ["9"]
    assert len({upload["name"] for upload in state["uploads"]}) == 1


@in_loop
async def test_outputs_are_stored_in_the_order_of_the_graphs_nodes(tmp_path):
    graph = {
        "30": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "b"}},
        "2": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255},
        },
        "4": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "a"}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    async with site(tmp_path) as place:
        task_id = place.submit("comfyui-workflow", {"workflow": graph, "inputs": {}})
        _, output = await place.answer(task_id)
    assert [each["node"] for each in output["detail"]["outputs"]] == ["30", "30", "4", "4"]
    names = [each["result_url"].rpartition("/")[2] for each in output["images"]]
    assert names == [f"{task_id}.png", f"{task_id}-2.png", f"{task_id}-3.png", f"{task_id}-4.png"]


@in_loop
async def test_preview_is_stored_if_there_is_nothing_else(tmp_path):
    graph = {
        "2": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    async with site(tmp_path) as place:
        task_id = place.submit("comfyui-workflow", {"workflow": graph, "inputs": {}})
        kind, output = await place.answer(task_id)
    assert (kind, len(output["images"])) == ("done", 1)


@in_loop
async def test_animation_and_sound_are_stored_as_files(tmp_path):
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255}},
        "2": {"class_type": "LoadImage", "inputs": {}},
        "3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
        "4": {
            "class_type": "SaveAnimatedWEBP",
            "inputs": {
                "images": ["3", 0], "filename_prefix": "x", "fps": 6.0, "lossless": True, "quality": 80,
                "method": "default",
            },
        },
        "5": {"class_type": "EmptyAudio", "inputs": {"duration": 0.2, "sample_rate": 44100, "channels": 2}},
        "6": {"class_type": "SaveAudio", "inputs": {"audio": ["5", 0], "filename_prefix": "x"}},
    }  # fmt: skip
    inputs = {"2.image": {"image_url": EDIT["image_url"]}}
    async with site(tmp_path) as place:
        task_id = place.submit("comfyui-workflow", {"workflow": graph, "inputs": inputs})
        kind, output = await place.answer(task_id)
    assert kind == "done", output
    assert [file["content_type"] for file in output["files"]] == ["image/webp", "audio/flac"]
    assert output["images"] == []
    assert output["files"][0]["size_bytes"] == len(place.objects.kept[f"{RESULTS}/comfyui-workflow/{task_id}.webp"])


@in_loop
async def test_progress_grows_and_names_node_and_step(tmp_path):
    async with site(tmp_path, speed={"step_s": 0.3}) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 8})
        await place.answer(task_id)
    told = place.notes.told[task_id]
    values = [progress.value for progress in told]
    assert told[0].value == 0
    assert values == sorted(values)
    assert values[-1] > 0
    stepped = [progress for progress in told if progress.steps]
    assert {(each.node_class, each.steps) for each in stepped} == {("KSampler", 8)}
    assert all(after.at_ms - before.at_ms >= 990 for before, after in itertools.pairwise(told))


@in_loop
async def test_preview_is_shown_only_if_it_was_asked_for(tmp_path):
    async with site(tmp_path, speed={"step_s": 0.3}) as place:
        silent = place.submit("qwen-image-edit", EDIT)
        shown = place.submit("qwen-image-edit", EDIT | {"seed": 8, "steps": 8}, preview=True)
        await place.answer(silent)
        await place.answer(shown)
    key = f"{RESULTS}/qwen-image-edit/{shown}-preview.jpg"
    assert place.notes.told[shown][-1].preview_url == f"{CDN}/{key}"
    assert Image.open(io.BytesIO(place.objects.kept[key])).format == "JPEG"
    assert {each.preview_url for each in place.notes.told[silent]} == {None}
    assert [name for name in place.objects.kept if "preview" in name] == [key]


@in_loop
async def test_next_job_is_fetched_while_the_gpu_works_and_the_one_after_is_left(tmp_path):
    async with site(tmp_path, speed={"step_s": 0.05}) as place:
        tasks = [place.submit("qwen-image-edit", EDIT | {"seed": seed, "steps": 20}) for seed in range(3)]
        await place.at_work(tasks[0])
        jobs = [{"task_id": tasks[0], "stage": "running"}, {"task_id": tasks[1], "stage": "fetching"}]
        await until(lambda: place.worker.condition().jobs == jobs)
        assert [kept.receives for kept in place.queue.kept.values()] == [1, 1, 0]
        for task_id in tasks:
            assert (await place.answer(task_id))[0] == "done"


@in_loop
async def test_caches_are_cleared_when_somebody_asks(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.worker._BEAT_S", 0.05)
    async with site(tmp_path) as place:
        await until(lambda: place.fleet.beats > 1)
        assert (await place.comfyui.state())["frees"] == []
        place.fleet.clear_cache_ms = 5
        seen = place.fleet.beats
        await until(lambda: place.fleet.beats > seen + 3)
        assert (await place.comfyui.state())["frees"] == [{"unload_models": True, "free_memory": True}]
