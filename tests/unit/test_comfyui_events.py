"""What ComfyUI says over its WebSocket, and when it refuses a graph."""

import json
import struct

import pytest

from backlot.comfyui.client import refusal
from backlot.comfyui.events import (
    Began,
    Broke,
    NodeBegan,
    NodeDone,
    NodesCached,
    NodeStepped,
    Preview,
    PromptLeft,
    QueueMoved,
    Succeeded,
    parse_binary,
    parse_text,
)


def text(kind: str, **data) -> str:
    return json.dumps({"type": kind, "data": data})


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        (text("status", status={"exec_info": {"queue_remaining": 2}}, sid="a"), [QueueMoved(2)]),
        (text("execution_start", prompt_id="p", timestamp=1), [Began("p")]),
        (text("execution_cached", prompt_id="p", nodes=["1", "2"]), [NodesCached("p", ("1", "2"))]),
        (text("executing", prompt_id="p", node="5.0", display_node="5"), [NodeBegan("p", "5")]),
        (text("executing", node="5"), [NodeBegan(None, "5")]),
        (text("executing", prompt_id="p", node=None), [PromptLeft("p")]),
        (text("progress", prompt_id="p", node="5", value=3, max=8), [NodeStepped("p", "5", 3, 8)]),
        (text("progress", value=9, max=8), [NodeStepped(None, None, 8, 8)]),
        (text("executed", prompt_id="p", node="9", output={"images": []}), [NodeDone("p", "9")]),
        (text("execution_success", prompt_id="p"), [Succeeded("p")]),
        (text("execution_error", prompt_id="p", node_id="5"), [Broke("p")]),
        (text("execution_interrupted", prompt_id="p", node_id="5"), [Broke("p")]),
    ],
)
def test_text_frame_is_read(frame, events):
    assert parse_text(frame) == events


def test_state_of_all_nodes_is_read_node_by_node():
    nodes = {
        "1": {"state": "finished", "value": 1, "max": 1, "node_id": "1", "display_node_id": "1"},
        "2": {"state": "running", "value": 2.0, "max": 8.0, "node_id": "2", "display_node_id": "2"},
        "3": {"state": "error", "value": 0, "max": 1, "node_id": "3", "display_node_id": "3"},
    }
    assert parse_text(text("progress_state", prompt_id="p", nodes=nodes)) == [
        NodeDone("p", "1"),
        NodeBegan("p", "2"),
        NodeStepped("p", "2", 2, 8),
    ]


def test_end_of_a_node_that_stands_in_for_another_is_not_the_others_end():
    state = {"state": "finished", "value": 1, "max": 1, "node_id": "5.0.1", "display_node_id": "5"}
    assert parse_text(text("progress_state", prompt_id="p", nodes={"5.0.1": state})) == []


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "no JSON",
        "[]",
        "7",
        '{"type": "executing"}',
        text("feature_flags", max_upload_size=1),
        text("crystools.monitor", cpu=1),
        text("executing", prompt_id="p"),
        text("progress", value=1, max=0),
        text("progress", value=0, max=1),
        text("progress", value="a", max=2),
        text("execution_cached", prompt_id="p"),
        text("status", status=None),
    ],
)
def test_text_frame_that_is_not_known_is_no_event(frame):
    assert parse_text(frame) == []


def test_preview_says_whose_it_is_if_its_metadata_do():
    metadata = json.dumps({"prompt_id": "p", "node_id": "3", "image_type": "image/jpeg"}).encode()
    assert parse_binary(struct.pack(">II", 1, 1) + b"pixels") == [Preview(None, b"pixels")]
    assert parse_binary(struct.pack(">II", 4, len(metadata)) + metadata + b"pixels") == [Preview("p", b"pixels")]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0",
        struct.pack(">II", 1, 2) + b"a PNG",
        struct.pack(">II", 3, 1) + b"a text",
        struct.pack(">II", 4, 400) + b"{}",
        struct.pack(">II", 4, 2) + b"{}" + b"pixels",
        struct.pack(">II", 4, 4) + b"null",
    ],
)
def test_binary_frame_that_is_no_preview_in_jpeg_is_no_event(frame):
    assert parse_binary(frame) == []


def test_refusal_names_nodes_and_inputs():
    answer = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
        "node_errors": {
            "5": {
                "class_type": "KSampler",
                "errors": [
                    {"type": "value_bigger_than_max", "message": "Value too big", "details": "steps"},
                    {"type": "required_input_missing", "message": "Required input is missing", "details": "model"},
                ],
            }
        },
    }
    assert refusal(answer) == (
        "node 5 (KSampler): Value too big: steps; node 5 (KSampler): Required input is missing: model"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": {"type": "no_prompt", "message": "No prompt provided", "details": ""}}, "No prompt provided"),
        ({"error": "broken", "node_errors": []}, "broken"),
    ],
)
def test_refusal_of_a_graph_as_a_whole_is_repeated(answer, words):
    assert refusal(answer) == words
