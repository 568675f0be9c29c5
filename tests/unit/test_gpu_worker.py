"""The parts of the GPU lane's worker that need no ComfyUI."""

import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backlot.aws.cloudwatch import GpuMetrics
from backlot.comfyui.client import FileRef
from backlot.comfyui.events import Began, NodeBegan, NodeDone, NodesCached, NodeStepped
from containers.comfyui.worker.busy import BusyShare
from containers.comfyui.worker.ends import Ended, NodeBroke, PromptLost, read_end
from containers.comfyui.worker.media import media_type
from containers.comfyui.worker.outputs import Output, listed
from containers.comfyui.worker.progress import PromptProgress
from containers.comfyui.worker.prompts import named
from containers.comfyui.worker.tidy import RESULT_AGE_S, UPLOAD_AGE_S, delete_old
from tests.unit.work import an_item

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "KSampler", "inputs": {"latent_image": ["1", 0], "steps": 4, "seed": 1}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}


def test_progress_weighs_a_samplers_steps():
    progress = PromptProgress(GRAPH)
    values = []
    for event in (
        NodeBegan("p", "1"),
        NodeBegan("p", "2"),
        NodeStepped("p", "2", 1, 4),
        NodeStepped("p", "2", 4, 4),
        NodeBegan("p", "9"),
        NodeDone("p", "9"),
    ):
        assert progress.see(event)
        values.append(progress.value)
    assert values == [0, round(1 / 42, 4), round(11 / 42, 4), round(41 / 42, 4), round(41 / 42, 4), 1]


def test_progress_names_the_node_and_its_steps():
    progress = PromptProgress(GRAPH)
    progress.see(NodeStepped("p", "2", 1, 4))
    told = progress.at(5, "https://cdn.example.com/p.jpg")
    assert (told.node, told.node_class, told.step, told.steps, told.at_ms) == ("2", "KSampler", 1, 4, 5)
    progress.see(NodeBegan("p", "9"))
    assert (progress.at(6, None).step, progress.at(6, None).node_class) == (None, "SaveImage")


def test_progress_counts_nodes_that_do_not_run():
    progress = PromptProgress(GRAPH)
    progress.see(NodesCached("p", ("1", "2")))
    assert progress.value == round(41 / 42, 4)


def test_event_that_says_nothing_of_progress_changes_nothing():
    assert not PromptProgress(GRAPH).see(Began("p"))


NODES = st.sampled_from(["1", "2", "9", "unknown", "2.0.1"])
EVENTS = st.one_of(
    st.builds(NodeBegan, st.just("p"), NODES),
    st.builds(NodeDone, st.just("p"), NODES),
    st.builds(NodesCached, st.just("p"), st.tuples(NODES)),
    st.builds(NodeStepped, st.just("p"), st.one_of(st.none(), NODES), st.integers(0, 8), st.just(8)),
)


@given(st.lists(EVENTS, max_size=30))
def test_progress_never_falls_and_stays_within_its_bounds(events):
    progress = PromptProgress(GRAPH)
    values = [progress.value]
    for event in events:
        progress.see(event)
        values.append(progress.at(1, None).value)
    assert values == sorted(values)
    assert 0 <= values[0] <= values[-1] <= 1


def test_each_node_that_saves_gets_a_prefix_of_its_own():
    graph = GRAPH | {"10": GRAPH["9"]}
    made = named(graph, "a-prompt")
    assert [made[node]["inputs"].get("filename_prefix") for node in graph] == [
        None,
        None,
        "backlot/a-prompt/2",
        "backlot/a-prompt/3",
    ]
    assert graph["9"]["inputs"]["filename_prefix"] == "x"


def entry(status: str, *messages: tuple[str, dict], outputs: dict | None = None) -> dict:
    told = [["execution_start", {}], *([name, details] for name, details in messages)]
    return {"outputs": outputs or {}, "status": {"status_str": status, "completed": False, "messages": told}}


def test_end_of_a_prompt_that_succeeded_has_its_outputs():
    assert read_end(entry("success", ("execution_success", {}), outputs={"9": {}})) == Ended({"9": {}})
    assert read_end({"outputs": {"9": {}}, "status": None}) == Ended({"9": {}})


@pytest.mark.parametrize(
    ("kind", "words", "is_out_of_memory"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", True),
        ("torch.cuda.OutOfMemoryError", "", True),
        ("RuntimeError", "CUDA error: out of memory", True),
        ("ValueError", "too thin", False),
    ],
)
def test_end_of_a_prompt_that_broke_names_the_node(kind, words, is_out_of_memory):
    details = {"node_id": "2", "node_type": "KSampler", "exception_type": kind, "exception_message": f"{words}\n"}
    with pytest.raises(NodeBroke) as caught:
        read_end(entry("error", ("execution_error", details | {"traceback": ["a", "b"]})))
    broke = caught.value
    assert (broke.node, broke.node_class, broke.reason, broke.traceback) == ("2", "KSampler", words, "ab")
    assert broke.is_out_of_memory is is_out_of_memory


def test_end_of_a_prompt_that_somebody_interrupted_is_no_end():
    with pytest.raises(PromptLost):
        read_end(entry("error", ("execution_interrupted", {"node_id": "2"})))


def test_error_without_words_is_an_error():
    with pytest.raises(NodeBroke):
        read_end(entry("error"))


def file(name: str, kind: str = "output", subfolder: str = "") -> dict[str, str]:
    return {"filename": name, "subfolder": subfolder, "type": kind}


def test_files_are_listed_under_any_name_and_in_the_graphs_order():
    outputs = {
        "9": {"images": [file("b.png"), file("c.png")], "animated": [False], "text": ["words"]},
        "5.0": {"images": [file("of a node that stands in.png")]},
        "1": {"gifs": [file("a.mp4", subfolder="video")], "n": 3},
    }
    assert listed(outputs, GRAPH) == [
        Output("1", FileRef("a.mp4", "video", "output")),
        Output("9", FileRef("b.png", "", "output")),
        Output("9", FileRef("c.png", "", "output")),
        Output("5.0", FileRef("of a node that stands in.png", "", "output")),
    ]


def test_file_that_is_listed_twice_is_stored_once():
    outputs = {"9": {"images": [file("a.webp")], "gifs": [file("a.webp")]}}
    assert listed(outputs, GRAPH) == [Output("9", FileRef("a.webp", "", "output"))]


def test_previews_count_only_without_results():
    preview, result = file("p.png", "temp"), file("r.png")
    assert [each.file.filename for each in listed({"1": {"images": [preview]}}, GRAPH)] == ["p.png"]
    both = {"1": {"images": [preview]}, "9": {"images": [result]}}
    assert [each.file.filename for each in listed(both, GRAPH)] == ["r.png"]
    assert listed({"1": {"images": [file("i.png", "input")]}}, GRAPH) == []


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("head", "content_type", "ending"),
    [
        (picture("PNG"), "image/png", "png"),
        (picture("JPEG"), "image/jpeg", "jpg"),
        (picture("WEBP"), "image/webp", "webp"),
        (picture("GIF"), "image/gif", "gif"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video/mp4", "mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "video/quicktime", "mov"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm", "video/webm", "webm"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "wav"),
        (b"fLaC\0\0\0\x22", "audio/flac", "flac"),
        (b"OggS\0\2", "audio/ogg", "ogg"),
        (b"ID3\4\0", "audio/mpeg", "mp3"),
        (b"\xff\xfb\x90\x64", "audio/mpeg", "mp3"),
    ],
)
def test_file_is_told_by_its_content(head, content_type, ending):
    kind = media_type(head[:64])
    assert (kind.content_type, kind.ending, kind.is_image) == (content_type, ending, content_type.startswith("image/"))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<html><script>",
        b'<svg xmlns="http://www.w3.org/2000/svg">',
        b"%PDF-1.7",
        b"PK\3\4",
        b"\0\0\0\x1cftypavif\0\0\0\0",
        b"\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska",
        b"RIFF\x24\0\0\0AVI ",
    ],
)
def test_file_of_another_kind_is_not_stored(head):
    assert media_type(head) is None


def test_busy_share_is_that_of_the_time_since_it_was_taken():
    now = [0.0]
    share = BusyShare(lambda: now[0])
    for at, is_busy in ((1.0, True), (3.0, False), (4.0, True)):
        now[0] = at
        share.note(is_busy)
    now[0] = 5.0
    assert share.take() == pytest.approx(3 / 5)
    now[0] = 7.0
    assert share.take() == pytest.approx(1)
    share.note(False)
    now[0] = 9.0
    assert share.take() == 0


def test_message_that_goes_on_later_remembers_when_it_was_first_sent():
    item = an_item("run-workflow", {})
    again = item.again(5)
    assert (again.turn, again.first_sent_ms, again.crashes) == (1, 5, 0)
    assert again.again(9, crashes=1).model_dump() == item.model_dump() | {"turn": 2, "first_sent_ms": 5, "crashes": 1}


def emitted(capsys) -> list[tuple[dict, list]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line, line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]) for line in lines]


def test_metrics_of_a_prompt_are_those_of_its_operation_and_of_the_lane(capsys, monkeypatch):
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "backlot-dev")
    metrics = GpuMetrics()
    metrics.prompt_done("camera-angle", 2.5)
    metrics.busy(0.5)
    metrics.crashed()
    (done, by_operation), (busy, alone), (crashed, _) = emitted(capsys)
    assert (done["GpuPromptSeconds"], done["GpuJobsDone"], done["operation"]) == ([2.5], [1.0], "camera-angle")
    assert (by_operation, alone) == ([["service"], ["service", "operation"]], [["service"]])
    assert (busy["GpuBusyShare"], crashed["GpuCrashes"]) == ([0.5], [1.0])


def test_old_files_of_ours_are_deleted_and_no_others(tmp_path):
    now = 1_000_000.0
    ages = {
        "output/backlot/p/0_00001_.png": RESULT_AGE_S,
        "output/backlot/q/0_00001_.png": RESULT_AGE_S - 5,
        "output/theirs.png": RESULT_AGE_S * 2,
        "temp/preview.png": RESULT_AGE_S,
        "input/backlot-1-a.png": UPLOAD_AGE_S,
        "input/backlot-1-b.png": UPLOAD_AGE_S - 5,
        "input/example.png": UPLOAD_AGE_S * 2,
        "models/a.safetensors": UPLOAD_AGE_S * 2,
    }
    for name, age_s in ages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (now - age_s - 1, now - age_s - 1))
    assert delete_old(tmp_path, now) == 3
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert set(ages) - left == {"output/backlot/p/0_00001_.png", "temp/preview.png", "input/backlot-1-a.png"}


def test_folder_that_does_not_exist_has_no_old_files(tmp_path):
    assert delete_old(tmp_path / "none", 0.0) == 0
