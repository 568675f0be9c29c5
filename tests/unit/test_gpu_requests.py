"""Requests of the GPU lane: what they take, what is decided about them, and the workflows that they become."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backlot.comfyui import MAX_WHOLE_NUMBER
from backlot.comfyui.graphs import Job, job, problems
from backlot.comfyui.schemas import NodeSchemas
from backlot.image_urls import ImageUrlPolicy
from backlot.images.codecs import data_url
from backlot.inline_images import InlineImages
from backlot.operations import Lane, OperationRequest, RequestContext, catalogue, operation_named
from backlot.operations.comfyui_workflow import MAX_INPUTS_BYTES, MAX_WORKFLOW_BYTES
from backlot.operations.qwen_image_edit import SAMPLER_NODE
from containers.comfyui.workflows import workflows
from tests.unit.pictures import plain
from tests.unit.test_graphs import graphs, json_values, places

URL = "https://images.example.com/a.jpg"
PACKAGED = NodeSchemas.packaged()
GPU = [operation for operation in catalogue().values() if operation.lane is Lane.GPU]
OURS = [operation for operation in GPU if operation.name in workflows()]


def read(operation: str, body: dict[str, Any], context: RequestContext | None = None) -> OperationRequest:
    return operation_named(operation).request.model_validate_json(json.dumps(body), context=context)


def asked(operation: str, **body: Any) -> OperationRequest:
    required = {"image_url": URL} | ({"prompt": "x"} if operation == "qwen-image-edit" else {})
    return read(operation, required | body)


def stored(operation: str, **body: Any) -> dict[str, Any]:
    return asked(operation, **body).resolved(ImageUrlPolicy()).model_dump(mode="json")


def made(operation: str, **body: Any) -> Job:
    return job(operation, stored(operation, **body), workflows())


def wrong(operation: str, body: Any) -> list[tuple[tuple[Any, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        read(operation, body)
    return [(each["loc"], each["msg"]) for each in caught.value.errors()]


# Both operations


def test_every_workflow_of_ours_has_its_operation():
    assert set(workflows()) == {operation.name for operation in GPU} - {"comfyui-workflow"}


@pytest.mark.parametrize("operation", OURS, ids=lambda operation: operation.name)
def test_binding_names_fields_of_the_request_and_inputs_of_the_workflow(operation):
    workflow = workflows()[operation.name]
    bound = {**workflow.binding.images, **workflow.binding.values}
    assert set(bound) <= set(operation.request.model_fields)
    for place in bound.values():
        node, _, field = place.partition(".")
        assert field in workflow.graph[node]["inputs"]
    for place in workflow.binding.images.values():
        node, _, field = place.partition(".")
        assert PACKAGED.input(workflow.graph[node]["class_type"], field).is_picture


def test_inputs_of_our_workflows_are_those_of_the_packaged_classes_but_for_what_newer_ones_need():
    newer = {
        (node["class_type"], field)
        for workflow in workflows().values()
        for node in workflow.graph.values()
        for field in node["inputs"]
        if PACKAGED.get(node["class_type"]).input(field) is None
    }
    assert newer == {("ImageScaleToTotalPixels", "resolution_steps")}


@pytest.mark.parametrize("operation", OURS, ids=lambda operation: operation.name)
def test_example_of_an_operation_becomes_a_graph_without_a_problem(operation):
    request = operation.request.model_validate(operation.example).resolved(ImageUrlPolicy()).model_dump(mode="json")
    of_it = job(operation.name, request, workflows())
    assert problems(of_it.graph, PACKAGED, allowed=None, bound=frozenset(of_it.uploads)) == []


@pytest.mark.parametrize("name", ["camera-angle", "qwen-image-edit"])
def test_seed_that_is_not_given_is_chosen_once_and_anew_for_each_request(name):
    seeds = {stored(name)["seed"] for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert made(name, seed=7).seed == 7


@pytest.mark.parametrize("name", ["camera-angle", "qwen-image-edit"])
@pytest.mark.parametrize(("seed", "valid"), [(0, True), (MAX_WHOLE_NUMBER, True), (-1, False), (2**53, False)])
def test_seed_is_a_whole_number_that_step_functions_can_hand_on(name, seed, valid):
    if valid:
        assert asked(name, seed=seed).seed == seed
        # Step Functions' JSONata has doubles.
        as_double = stored(name, seed=seed) | {"seed": float(seed)}
        assert job(name, as_double, workflows()).seed == seed
    else:
        with pytest.raises(ValidationError, match="than or equal to"):
            asked(name, seed=seed)


# camera-angle


@pytest.mark.parametrize(
    ("angles", "says"),
    [
        ({}, "Keep the picture as it is."),
        ({"horizontal": -1}, "将镜头向左旋转45度 Rotate the camera 45 degrees to the left."),
        ({"horizontal": -2}, "将镜头向左旋转90度 Rotate the camera 90 degrees to the left."),
        ({"horizontal": 1}, "将镜头向右旋转45度 Rotate the camera 45 degrees to the right."),
        ({"horizontal": 2}, "将镜头向右旋转90度 Rotate the camera 90 degrees to the right."),
        ({"vertical": -2}, "low angle from the ground"),
        ({"vertical": -1}, "将镜头向下移动 Move the camera down."),
        ({"vertical": 1}, "将镜头向上移动 Move the camera up."),
        ({"vertical": 2}, "将镜头转为俯视"),
        ({"zoom": 1}, "将镜头向前移动 Move the camera forward."),
        ({"zoom": -1}, "Move the camera back"),
        ({"vertical": 1, "horizontal": -1, "zoom": 1}, "camera up. .* to the left. .* forward."),
        ({"horizontal": 1, "prompt": ""}, "45 degrees to the right"),
        ({"horizontal": 1, "prompt": " \n"}, "45 degrees to the right"),
        ({"horizontal": 1, "prompt": "another view"}, "^another view$"),
    ],
)
def test_angles_become_words_that_the_lora_was_trained_on(angles, says):
    graph = made("camera-angle", **angles).graph
    assert re.search(says, graph["11"]["inputs"]["prompt"])
    assert graph["3"]["inputs"]["prompt"] == ""


def test_every_pair_of_angles_has_words_of_its_own():
    words = {
        made("camera-angle", vertical=vertical, horizontal=horizontal, zoom=zoom).graph["11"]["inputs"]["prompt"]
        for vertical in range(-2, 3)
        for horizontal in range(-2, 3)
        for zoom in range(-1, 2)
    }
    assert len(words) == 5 * 5 * 3


@pytest.mark.parametrize("field", ["vertical", "horizontal", "zoom"])
@pytest.mark.parametrize(
    ("value", "number"), [(1, 1), (1.0, 1), (-1.0, -1), ("1", None), (3, None), (-3, None), (0.5, None), (None, None)]
)
def test_angle_is_one_of_its_numbers_as_the_old_server_read_them(field, value, number):
    if number is None:
        with pytest.raises(ValidationError) as caught:
            asked("camera-angle", **{field: value})
        assert [(each["loc"], each["type"]) for each in caught.value.errors()] == [((field,), "literal_error")]
    else:
        read_number = getattr(asked("camera-angle", **{field: value}), field)
        assert (read_number, type(read_number)) == (number, int)


@pytest.mark.parametrize(
    ("steps", "made_in"), [(None, 8), (1, 1), (50, 50), (0, None), (51, None), ("x", None), (1.5, None)]
)
def test_steps_of_a_camera_move_have_bounds_and_a_default(steps, made_in):
    if made_in is None:
        with pytest.raises(ValidationError, match="steps"):
            asked("camera-angle", steps=steps)
    else:
        assert made("camera-angle", steps=steps).graph["14"]["inputs"]["steps"] == made_in


def test_camera_angle_runs_on_the_models_and_nodes_of_its_workflow():
    graph = made("camera-angle").graph
    assert graph["76"]["inputs"]["type"] == "qwen_image"
    assert [graph[node]["class_type"] for node in ("77", "79", "20", "2", "1")] == [
        "UNETLoader",
        "LoraLoaderModelOnly",
        "LoraLoaderModelOnly",
        "ModelSamplingAuraFlow",
        "CFGNorm",
    ]
    assert graph["20"]["inputs"]["model"] == ["79", 0]


# qwen-image-edit


@pytest.mark.parametrize(
    ("given", "loaded", "linked"),
    [
        ({}, {"10"}, {"image1"}),
        ({"image2_url": URL}, {"10", "8"}, {"image1", "image2"}),
        ({"image3_url": URL}, {"10", "11"}, {"image1", "image3"}),
        ({"image2_url": URL, "image3_url": URL}, {"10", "8", "11"}, {"image1", "image2", "image3"}),
    ],
)
def test_absent_picture_of_an_edit_is_absent_and_no_copy(given, loaded, linked):
    edit = made("qwen-image-edit", **given)
    assert {name for name, node in edit.graph.items() if node["class_type"] == "LoadImage"} == loaded
    assert {place.partition(".")[0] for place in edit.uploads} == loaded
    links = edit.graph["3"]["inputs"]
    assert {name for name in links if name.startswith("image")} == linked
    assert len({links[name][0] for name in linked}) == len(linked)
    assert problems(edit.graph, PACKAGED, allowed=None, bound=frozenset(edit.uploads)) == []


def test_settings_of_an_edit_go_to_its_sampler_and_null_leaves_the_workflows():
    given = {"steps": 6, "cfg": 2.5, "sampler_name": "lcm", "scheduler": "simple", "denoise": 0.8, "seed": 3}
    sampler = made("qwen-image-edit", **given).graph["2"]["inputs"]
    assert {name: sampler[name] for name in given} == given
    nothing = dict.fromkeys(given) | {"seed": 3}
    assert made("qwen-image-edit", **nothing).graph == made("qwen-image-edit", seed=3).graph


@pytest.mark.parametrize("field", ["steps", "cfg", "denoise"])
def test_settings_of_an_edit_have_the_bounds_of_the_sampler(field):
    bounds = PACKAGED.input(SAMPLER_NODE, field)
    for value in (bounds.minimum, bounds.maximum):
        assert getattr(asked("qwen-image-edit", **{field: value}), field) == value
    for value in (bounds.minimum - 1, bounds.maximum + 1):
        with pytest.raises(ValidationError, match=field):
            asked("qwen-image-edit", **{field: value})


@pytest.mark.parametrize(
    ("field", "name", "said"),
    [
        ("sampler_name", "euler_a", "euler_ancestral"),
        ("sampler_name", "er_sde", "er_sde"),
        ("sampler_name", "sa_solver", "sa_solver"),
        ("sampler_name", "beta", None),
        ("scheduler", "beta", "beta"),
        ("scheduler", "", None),
        ("scheduler", "euler", None),
    ],
)
def test_samplers_and_schedulers_are_those_of_comfyui(field, name, said):
    if said is None:
        with pytest.raises(ValidationError, match=r"Input should be one of (euler|simple), "):
            asked("qwen-image-edit", **{field: name})
    else:
        assert getattr(asked("qwen-image-edit", **{field: name}), field) == said


def test_schema_of_an_edit_lists_samplers_and_schedulers():
    schema = operation_named("qwen-image-edit").request.model_json_schema()["properties"]
    assert "sa_solver" in schema["sampler_name"]["anyOf"][0]["enum"]
    assert "beta" in schema["scheduler"]["anyOf"][0]["enum"]


def test_edit_needs_an_instruction():
    assert wrong("qwen-image-edit", {"image_url": URL}) == [(("prompt",), "Field required")]


# comfyui-workflow

EXAMPLE = operation_named("comfyui-workflow").example


def changed(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(EXAMPLE)) | changes


def graph_with(node: str, **inputs: Any) -> dict[str, Any]:
    body = changed()
    body["workflow"][node]["inputs"] |= inputs
    return body


def test_workflow_is_stored_as_it_is_run():
    body = changed()
    body["workflow"]["1"]["_meta"] = {"title": "a face"}
    kept = read("comfyui-workflow", body).resolved(ImageUrlPolicy()).model_dump(mode="json")
    assert kept["workflow"] == EXAMPLE["workflow"]
    assert kept["inputs"] == EXAMPLE["inputs"]
    of_it = job("comfyui-workflow", kept, workflows())
    assert of_it.graph["4"]["inputs"]["blend_factor"] == 0.35
    assert of_it.uploads == {"1.image": "https://example.com/person.jpg"}
    assert problems(of_it.graph, PACKAGED, allowed=PACKAGED.names, bound=frozenset(of_it.uploads)) == []


@pytest.mark.parametrize(
    ("body", "place", "says"),
    [
        (graph_with("2", width=0.5), ("workflow", "2", "inputs", "width"), "a whole number"),
        (graph_with("2", image=["8", 0]), ("workflow", "2", "inputs", "image"), "node 8, which does not exist"),
        (graph_with("4", blend_mode="../x"), ("workflow", "4", "inputs", "blend_mode"), "one of: normal"),
        (graph_with("4", blend=1), ("workflow", "4", "inputs", "blend"), "no input 'blend'"),
        (changed(inputs={}), ("workflow", "1", "inputs", "image"), "bound, not named"),
        (
            changed(inputs={**EXAMPLE["inputs"], "4.blend_factor": 2}),
            ("workflow", "4", "inputs", "blend_factor"),
            "at most 1",
        ),
        (changed(inputs={**EXAMPLE["inputs"], "9.x": 2}), ("workflow", "9", "inputs", "x"), "no such input"),
        (
            changed(inputs={**EXAMPLE["inputs"], "2.width": {"image_url": URL}}),
            ("workflow", "2", "inputs", "width"),
            "takes no uploaded picture",
        ),
        (changed(workflow={"nodes": [], "links": []}), ("workflow",), "Export \\(API\\)"),
        (changed(workflow=[]), ("workflow",), "valid dictionary"),
        (changed(inputs=[]), ("inputs",), "valid dictionary"),
    ],
)
def test_problem_of_a_workflow_is_said_where_it_is(body, place, says):
    told = wrong("comfyui-workflow", body)
    assert place in [each for each, _ in told]
    assert any(re.search(says, message) for each, message in told if each == place)


def test_problems_of_the_form_and_of_the_graph_are_told_together():
    body = graph_with("2", width=-1) | {"callback_url": "ftp://x", "preview": "maybe"}
    body["inputs"] = {"1.image": {"image_url": "http://localhost/x"}, "2.crop": None, "4.blend_factor": {"value": 1}}
    assert [place for place, _ in wrong("comfyui-workflow", body)][:5] == [
        ("callback_url",),
        ("inputs", "1.image", "image_url"),
        ("inputs", "2.crop"),
        ("inputs", "4.blend_factor", "image_url"),
        ("inputs", "4.blend_factor", "value"),
    ]
    assert ("workflow", "2", "inputs", "width") in [place for place, _ in wrong("comfyui-workflow", body)]


def test_class_that_the_stage_does_not_allow_is_refused():
    context = RequestContext(node_classes=frozenset({"LoadImage", "ImageScale", "ImageBlend", "SaveImage"}))
    with pytest.raises(ValidationError, match="class 'ImageInvert' is not allowed here"):
        read("comfyui-workflow", changed(), context)


def test_pictures_of_a_workflow_are_held_against_the_policy_and_taken_from_the_request_itself():
    context = RequestContext(images=ImageUrlPolicy("assets", "https://cdn.example.com"), inline=InlineImages("assets"))
    picture = data_url("image/png", plain())
    request = read("comfyui-workflow", changed(inputs={"1.image": {"image_url": picture}}), context)
    (key,) = context.inline.found
    assert request.model_dump()["inputs"] == {"1.image": {"image_url": f"s3://assets/{key}"}}
    with pytest.raises(ValidationError, match="only s3://assets/ can be read"):
        read("comfyui-workflow", changed(inputs={"1.image": {"image_url": "s3://other/x.png"}}), context)


@given(
    st.fixed_dictionaries(
        {"workflow": graphs},
        optional={"inputs": st.dictionaries(places, json_values, max_size=3) | json_values, "preview": json_values},
    )
    | json_values
)
def test_request_of_any_shape_is_read_or_refused_and_breaks_nothing(body):
    with suppress(ValidationError):
        read("comfyui-workflow", body)


@pytest.mark.parametrize("more", [0, 1])
def test_workflow_and_inputs_have_a_largest_size(more):
    workflow = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": ""}},
    }
    workflow["2"]["inputs"]["filename_prefix"] = "x" * (MAX_WORKFLOW_BYTES - len(json.dumps(workflow)) + more)
    inputs = {"2.filename_prefix": "x" * (MAX_INPUTS_BYTES - len('{"2.filename_prefix": ""}') + more)}
    body = {"workflow": workflow, "inputs": inputs}
    if more:
        limits = [(("workflow",), MAX_WORKFLOW_BYTES), (("inputs",), MAX_INPUTS_BYTES)]
        assert wrong("comfyui-workflow", body) == [
            (place, f"It has {limit + 1} bytes as JSON with escapes, {limit} are allowed") for place, limit in limits
        ]
    else:
        assert read("comfyui-workflow", body)


def test_size_of_a_workflow_is_that_of_its_escapes():
    body = graph_with("5", filename_prefix="镜" * (MAX_WORKFLOW_BYTES // 6))
    assert [place for place, _ in wrong("comfyui-workflow", body)] == [("workflow",)]
