"""Graphs of ComfyUI's: what is wrong with them, and how a request becomes one."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.comfyui import MAX_WHOLE_NUMBER
from backlot.comfyui.checks import MAX_PROBLEMS
from backlot.comfyui.graphs import Binding, Graph, Problem, Workflow, filled, job, problems
from backlot.comfyui.schemas import NodeSchemas
from backlot.errors import WorkflowRefused

PACKAGED = NodeSchemas.packaged()

#: What a host answers to /object_info: classes of ComfyUI itself, of its newer kind, and of somebody's own.
LIVE = NodeSchemas.of(
    {
        "LoadImage": {
            "input": {"required": {"image": [["old.png"], {"image_upload": True}]}},
            "output": ["IMAGE", "MASK"],
            "output_node": False,
        },
        "LoadSound": {
            "input": {"required": {"audio": ["COMBO", {"audio_upload": True, "options": []}]}},
            "output": ["AUDIO"],
        },
        "SaveImage": {
            "input": {
                "required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
                "hidden": {"prompt": "PROMPT"},
            },
            "output": [],
            "output_node": True,
        },
        "Loader": {
            "input": {"required": {"name": [["a.safetensors", "sub/b.safetensors"]]}},
            "output": ["MODEL", "CLIP,VAE"],
        },
        "Empty": {"input": {"required": {"name": [[]]}}, "output": ["MODEL"]},
        "Text": {"input": {"required": {"text": ["STRING", {"multiline": True}]}}, "output": ["STRING"]},
        "Anything": {"input": {"optional": {"any": ["*"]}}, "output": ["*"]},
        "Odd": {
            "input": {
                "optional": {
                    "path": ["STRING"],
                    "several": ["COMBO", {"options": ["a", "b"], "multiselect": True}],
                    "remote": ["COMBO", {"remote": {"route": "/files"}}],
                    "number": ["INT,FLOAT", {"min": 0, "max": 10}],
                    "mixed": [[1, "1", True]],
                    "colour": ["COLOR"],
                    "images": ["COMFY_AUTOGROW_V3", {}],
                    "format": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "mp4"}]}],
                    "vae": ["VAE"],
                    "flag": ["BOOLEAN"],
                    "strange": "INT",
                    "stranger": [],
                }
            },
            "output": ["IMAGE", ["a", "b"]],
            "output_node": True,
        },
        "Broken": None,
    }
)
MINE = frozenset(LIVE.names)


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def scaled(**changes: Any) -> Graph:
    inputs = {"image": ["1", 0], "upscale_method": "lanczos", "width": 64, "height": 64, "crop": "disabled"} | changes
    return {
        "1": node("LoadImage", image="x.png"),
        "2": node("ImageScale", **inputs),
        "3": node("SaveImage", images=["2", 0], filename_prefix="x"),
    }


def found(graph: Any, **options: Any) -> list[tuple[str | None, str | None]]:
    options = {"allowed": PACKAGED.names, "bound": frozenset({"1.image"})} | options
    return [(each.node, each.field) for each in problems(graph, PACKAGED, **options)]


def odd(schemas: NodeSchemas = LIVE, allowed: frozenset[str] | None = MINE, **inputs: Any) -> str | None:
    """Return the one thing that is wrong with an input of the odd class, None if nothing is."""
    told = problems({"1": node("Odd", **inputs)}, schemas, allowed=allowed)
    assert len(told) <= 1
    return told[0].message if told else None


def test_packaged_classes_take_no_path_no_url_and_no_upload_but_pictures():
    inputs = {(name, field): each for name in PACKAGED.names for field, each in PACKAGED.get(name).inputs.items()}
    one_line = {place for place, each in inputs.items() if "STRING" in each.types and not each.is_multiline}
    assert {field for _, field in one_line if field != "filename_prefix"} == {"value"}
    assert {name for name, field in one_line if field == "value"} == {"PrimitiveString"}
    assert all(each.is_picture for each in inputs.values() if each.is_upload)
    assert {name for name in PACKAGED.names if re.search("Save", name)} == {
        *("SaveImage", "SaveAnimatedPNG", "SaveAnimatedWEBP", "SaveVideo", "SaveAudio"),
    }


def test_graph_that_can_be_run_has_no_problem():
    assert problems(scaled(), PACKAGED, allowed=PACKAGED.names, bound=frozenset({"1.image"})) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": 16_384}, None),
        ({"width": 16_385}, "at most 16384"),
        ({"width": 0}, None),
        ({"width": -1}, "at least 0"),
        ({"width": "64"}, "a whole number"),
        ({"width": 64.0}, None),
        ({"width": 64.5}, "a whole number"),
        ({"width": True}, "a whole number"),
        ({"width": None}, "a whole number"),
        ({"width": {"__value__": 64}}, None),
        ({"width": {"__value__": "64"}}, "a whole number"),
        ({"width": {"value": 64}}, "a whole number"),
        ({"width": MAX_WHOLE_NUMBER + 1}, "2\\^53 - 1"),
        ({"width": 10**400}, "2\\^53 - 1"),
        ({"width": float("nan")}, "finite"),
        ({"width": float("inf")}, "finite"),
        ({"crop": "middle"}, "one of: disabled, center"),
        ({"crop": "../center"}, "one of: disabled, center"),
        ({"crop": None}, "one of: disabled, center"),
        ({"crop": {"__value__": ["center"]}}, "one of: disabled, center"),
        ({"image": "1"}, "a link to IMAGE"),
        ({"image": ["1", 1]}, "it takes IMAGE; output 1 of node 1 is MASK"),
        ({"image": ["1", 2]}, "has 2 outputs"),
        ({"image": ["1", -1]}, "has 2 outputs"),
        ({"image": ["9", 0]}, "node 9, which does not exist"),
        ({"image": ["1"]}, "a link is"),
        ({"image": ["1", "0"]}, "a link is"),
        ({"image": [1, 0]}, "a link is"),
        ({"image": ["1", True]}, "a link is"),
        ({"image": []}, "a link is"),
        ({"crop": ["1", 0]}, "takes no link"),
        ({"wide": 64}, "no input 'wide'; it has image, upscale_method, width, height, crop"),
        ({"wide": ["1", 0]}, "no input 'wide'"),
        ({"width": {"__value__": [[[[[[[[[1]]]]]]]]]}}, "deeper than 8 levels"),
    ],
)
def test_input_is_checked_against_its_class(change, says):
    told = problems(scaled(**change), PACKAGED, allowed=PACKAGED.names, bound=frozenset({"1.image"}))
    (field,) = change
    assert {(each.node, each.field) for each in told} == ({("2", field)} if says else set())
    if says:
        assert re.search(says, "; ".join(map(str, told)))


def test_every_problem_is_named_at_its_place():
    graph = {
        "1": node("LoadImage", image="x.png"),
        "2": node("ImageScale", image=["7", 0], width="64", height=-1),
        "3": node("Nothing"),
        "4": {"class_type": "SaveImage", "inputs": [1]},
        "5": {"inputs": {}},
        "6": "SaveImage",
        "a.b": node("SaveImage"),
        "": node("SaveImage"),
    }
    assert found(graph, bound=frozenset()) == [
        ("1", "image"),
        ("2", "image"),
        ("2", "width"),
        ("2", "height"),
        ("2", "upscale_method"),
        ("2", "crop"),
        ("3", None),
        ("4", None),
        ("5", None),
        ("6", None),
        ("a.b", None),
        ("", None),
    ]


def test_problem_says_its_place_in_words():
    assert str(Problem("3", "seed", "it is at least 0")) == "node 3, seed: it is at least 0"
    assert str(Problem("3", None, "its inputs are missing")) == "node 3: its inputs are missing"
    assert str(Problem(None, None, "nothing is saved")) == "nothing is saved"


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (None, "at least one node"),
        ([], "at least one node"),
        ({}, "at least one node"),
        ({"nodes": [], "links": []}, "the editor's format; export the workflow with File > Export \\(API\\)"),
        ({"1": {1: {}, b"": 2}}, "cannot be written as JSON"),
        ({"1": node("ImageInvert", image=["1", 0])}, "no node saves anything"),
    ],
)
def test_graph_as_a_whole_is_wrong(graph, says):
    told = [each for each in problems(graph, PACKAGED, allowed=None) if each.node is None]
    assert len(told) == 1
    assert re.search(says, str(told[0]))


def test_graph_that_is_nested_without_end_is_refused():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert problems({"1": node("SaveImage", images=deep)}, PACKAGED, allowed=None)


@pytest.mark.parametrize(
    ("links", "circle"),
    [
        ({"2": "2"}, "2 → 2"),
        ({"2": "3", "3": "2"}, "2 → 3 → 2"),
        ({"2": "3", "3": "4", "4": "2"}, "2 → 4 → 3 → 2"),
    ],
)
def test_links_in_a_circle_are_refused_and_named(links, circle):
    graph = {name: node("ImageInvert", image=[source, 0]) for name, source in links.items()}
    graph |= {"9": node("SaveImage", images=["2", 0], filename_prefix="x")}
    (told,) = problems(graph, PACKAGED, allowed=None)
    names = circle.split(" → ")
    assert (told.node, told.field) == (names[1], "image")
    assert sorted(told.message.removeprefix("the links go in a circle: ").split(" → ")[1:]) == sorted(names[1:])
    assert links[told.node] == told.message.removeprefix("the links go in a circle: ").split(" → ")[0]


def test_long_circle_is_shown_in_part():
    graph = {str(number): node("ImageInvert", image=[str((number + 1) % 500), 0]) for number in range(500)}
    told = problems(graph, PACKAGED, allowed=None)
    assert told[0].message.endswith(" …")
    assert len(told[0].message) < 200


def test_long_chain_of_nodes_is_no_circle():
    graph = {str(number): node("ImageInvert", image=[str(number - 1), 0]) for number in range(1, 5000)}
    graph |= {"0": node("EmptyImage", width=8, height=8, batch_size=1, color=0)}
    graph |= {"end": node("PreviewImage", images=["4999", 0])}
    assert problems(graph, PACKAGED, allowed=PACKAGED.names) == []


def test_problems_of_a_graph_that_is_all_wrong_are_limited():
    graph = {str(number): node("Nothing") for number in range(3000)}
    assert len(problems(graph, PACKAGED, allowed=PACKAGED.names)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("name", "meant"), [("KSamplr", "did you mean KSampler"), ("x" * 5000, "is not allowed here$"), ("", "''")]
)
def test_class_that_is_not_allowed_is_refused_with_what_was_meant(name, meant):
    (told,) = problems({"1": node(name)}, PACKAGED, allowed=frozenset({"KSampler"}))
    assert re.search(meant, told.message)
    assert len(told.message) < 200


def test_class_that_the_stage_allows_and_only_its_hosts_know_is_left_to_them():
    graph = {"1": node("Own", anything=1, link=["2", 5]), "2": node("Own")}
    assert problems(graph, PACKAGED, allowed=frozenset({"Own"})) == []
    told = problems(graph, LIVE, allowed=frozenset({"Own"}))
    assert [(each.node, each.message) for each in told[:2]] == [
        ("1", "this ComfyUI has no class 'Own'"),
        ("2", "this ComfyUI has no class 'Own'"),
    ]


def test_model_file_is_looked_for_where_the_graph_is_run():
    graph = {"1": node("Loader", name="c.safetensors"), "2": node("Odd", vae=["1", 1])}
    (told,) = problems(graph, LIVE, allowed=None)
    assert (told.node, told.field) == ("1", "name")
    assert "a.safetensors, sub/b.safetensors" in told.message
    unknown = {"1": node("VAELoader", vae_name="sub/any.safetensors"), "2": node("PreviewImage", images=["3", 0])}
    unknown |= {"3": node("VAEDecode", samples=["4", 0], vae=["1", 0])}
    unknown |= {"4": node("EmptyLatentImage", width=64, height=64, batch_size=1)}
    assert problems(unknown, PACKAGED, allowed=PACKAGED.names) == []
    assert [each.field for each in problems(scaled() | {"4": node("VAELoader", vae_name=1)}, PACKAGED, allowed=None)]


def test_host_without_model_files_says_so():
    (told, *_) = problems({"1": node("Empty", name="a")}, LIVE, allowed=None)
    assert told.message == "this ComfyUI has no file to choose from"


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "a/b",
        "..",
        "..\\x",
        "C:x",
        " d:",
        "https://example.com",
        "file:x/y",
        "x.png [output]",
        "x.png [temp] ",
        "x[input]",
    ],
)
def test_text_of_one_line_that_may_name_a_place_is_refused_in_a_callers_graph(text):
    assert odd(path=text) == "it must not name a file or a URL"
    assert odd(path={"__value__": text}) == "it must not name a file or a URL"
    assert odd(remote=text) == "it must not name a file or a URL"
    assert odd(colour={"a": [text]}) == "it must not name a file or a URL"
    assert odd(**{"images.image0": text}) == "it must not name a file or a URL"
    assert odd(**{"format.codec": text}) == "it must not name a file or a URL"
    assert odd(allowed=None, path=text) is None
    assert problems({"1": node("Text", text=text), "2": node("Odd")}, LIVE, allowed=MINE) == []


@pytest.mark.parametrize("text", ["", "a prompt: colon", "16:9", "x.png", "wait...", "镜头", "[output] first", "50%"])
def test_text_that_names_no_place_is_taken(text):
    assert odd(path=text) is None


def test_text_that_may_name_a_place_does_not_come_over_a_link():
    text = {"1": node("Text", text="/etc/passwd")}
    for field in ("path", "remote", "several"):
        told = problems(text | {"2": node("Odd", **{field: ["1", 0]})}, LIVE, allowed=MINE)
        assert [(each.node, each.field) for each in told][:1] == [("2", field)]
    assert problems(text | {"2": node("Odd", path=["1", 0])}, LIVE, allowed=None) == []
    assert problems(text | {"2": node("Anything", any=["1", 0]), "3": node("Odd")}, LIVE, allowed=MINE) == []


def test_prefix_of_file_names_may_be_anything_since_the_worker_writes_it():
    graph = {"1": node("Odd"), "2": node("SaveImage", images=["1", 0], filename_prefix="../../x")}
    assert problems(graph, LIVE, allowed=MINE) == []
    graph |= {"2": node("SaveImage", images=["1", 0], filename_prefix=["3", 0]), "3": node("Text", text="x")}
    assert problems(graph, LIVE, allowed=MINE) == []


def test_upload_is_bound_and_never_named():
    graph = {"1": node("LoadImage", image="old.png"), "2": node("SaveImage", images=["1", 0], filename_prefix="x")}
    (told,) = problems(graph, LIVE, allowed=MINE)
    assert (told.node, told.field) == ("1", "image")
    assert '{"image_url": "https://…"}' in told.message
    assert problems(graph, LIVE, allowed=MINE, bound=frozenset({"1.image"})) == []
    assert problems(graph, LIVE, allowed=None) == []
    del graph["1"]["inputs"]["image"]
    assert problems(graph, LIVE, allowed=MINE, bound=frozenset({"1.image"})) == []
    assert problems({"1": node("LoadSound", audio="x.mp3")}, LIVE, allowed=MINE)[0].field == "audio"


def test_button_that_old_editors_write_beside_an_upload_is_ignored():
    assert found(scaled() | {"1": node("LoadImage", image="x.png", upload="image")}) == []
    assert found(scaled(upload="image")) == [("2", "upload")]


@pytest.mark.parametrize(
    ("bound", "place", "says"),
    [
        ("9.image", ("9", "image"), "no such node"),
        ("1.mask", ("1", "mask"), "takes no uploaded picture; image does"),
        ("2.width", ("2", "width"), "takes no uploaded picture$"),
        ("2", ("2", ""), "takes no uploaded picture$"),
    ],
)
def test_picture_that_is_bound_to_nothing_that_loads_one_is_refused(bound, place, says):
    told = problems(scaled(), PACKAGED, allowed=PACKAGED.names, bound=frozenset({"1.image", bound}))
    assert [(each.node, each.field) for each in told] == [place]
    assert re.search(says, told[0].message)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"several": {"__value__": ["a", "b"]}}, None),
        ({"several": "a"}, None),
        ({"several": {"__value__": ["a", "c"]}}, "it takes one of: a, b"),
        ({"remote": "x"}, None),
        ({"remote": 1}, "it takes one of a list"),
        ({"number": 10}, None),
        ({"number": 9.5}, None),
        ({"number": 10.5}, "it is at most 10"),
        ({"number": "1"}, "it takes a number or a whole number"),
        ({"mixed": 1}, None),
        ({"mixed": "1"}, None),
        ({"mixed": True}, None),
        ({"mixed": 2}, "it takes one of: 1, 1, True"),
        ({"mixed": False}, "it takes one of: 1, 1, True"),
        ({"colour": "#ffffff"}, None),
        ({"images.image0": ["1", 0]}, "the links go in a circle: 1 → 1"),
        ({"format": "mp4", "format.codec": "h264", "format.codec.crf": 23}, None),
        ({"vae.image0": 1}, "its class has no input 'vae.image0'"),
        ({"vae": 1}, "it takes a link to VAE"),
        ({"flag": False}, None),
        ({"flag": 0}, "it takes true or false"),
        ({"strange": 5}, None),
        ({"stranger": {"any": 5}}, None),
    ],
)
def test_inputs_of_unusual_types_are_checked_as_far_as_they_are_known(inputs, says):
    assert (odd(**inputs) or "None").startswith(says or "None")


def test_link_fits_a_type_of_several_and_any_type():
    loaded = {"1": node("Loader", name="a.safetensors")}
    assert problems(loaded | {"2": node("Odd", vae=["1", 1])}, LIVE, allowed=None) == []
    assert problems(loaded | {"2": node("Odd", vae=["1", 0])}, LIVE, allowed=None) != []
    assert problems(loaded | {"2": node("Anything", any=["1", 0]), "3": node("Odd")}, LIVE, allowed=None) == []
    assert problems({"1": node("Anything"), "2": node("Odd", vae=["1", 0])}, LIVE, allowed=None) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
nodes = st.fixed_dictionaries(
    {},
    optional={
        "class_type": st.sampled_from(sorted(MINE)) | json_values,
        "inputs": json_values
        | st.dictionaries(
            st.sampled_from(["image", "images", "any", "path", "several", "number", "vae", "images.image0", "", "x"]),
            json_values | st.tuples(st.sampled_from("123"), st.integers(-1, 2)).map(list),
            max_size=4,
        ),
    },
)
graphs = json_values | st.dictionaries(st.sampled_from("123") | st.text(max_size=3), nodes | json_values, max_size=4)
places = st.sampled_from(["1.image", "2.images", "3", ".", "1.", ""]) | st.text(max_size=5)


@given(graphs, st.frozensets(places), st.none() | st.just(MINE))
def test_whatever_a_graph_is_its_problems_are_said(graph, bound, allowed):
    for schemas in (LIVE, PACKAGED):
        for each in problems(graph, schemas, allowed=allowed, bound=bound):
            assert each.message


@given(graphs, st.dictionaries(places, json_values, max_size=3) | json_values)
def test_whatever_goes_into_a_graph_it_stays_as_it_was(graph, inputs):
    before = repr(graph)
    into, uploads, told = filled(graph, inputs)
    assert all(each.message for each in told)
    problems(into, PACKAGED, allowed=PACKAGED.names, bound=frozenset(uploads))
    assert repr(graph) == before


def test_inputs_are_written_and_pictures_are_told_apart():
    graph = {"1": {**node("LoadImage"), "_meta": {"title": "x"}}, "5:2": {"class_type": "KSampler"}}
    inputs = {"1.image": {"image_url": "https://a"}, "5:2.seed": 7, "5:2.mode.width": 3, "8.seed": 1, "1": 2}
    into, uploads, told = filled(graph, inputs)
    assert into == {"1": node("LoadImage"), "5:2": node("KSampler", **{"seed": 7, "mode.width": 3})}
    assert uploads == {"1.image": "https://a"}
    assert [(each.node, each.field) for each in told] == [("8", "seed"), ("1", None)]


WORKFLOW = Workflow(
    {
        "1": node("LoadImage", image="x"),
        "2": node("LoadImage", image="x"),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("KSampler", seed=1, steps=8),
    },
    Binding({"image_url": "1.image", "image2_url": "2.image"}, {"seed": "4.seed", "steps": "4.steps"}, model="m"),
)
REQUEST = {"image_url": "https://a", "image2_url": "https://b", "seed": 5, "steps": None, "preview": True}


def test_request_becomes_the_job_that_its_binding_says():
    made = job("an-edit", REQUEST, {"an-edit": WORKFLOW})
    assert made.graph["4"]["inputs"] == {"seed": 5, "steps": 8}
    assert made.uploads == {"1.image": "https://a", "2.image": "https://b"}
    assert (made.seed, made.model, made.preview) == (5, "m", True)


def test_absent_picture_is_absent_with_its_links_and_the_workflow_stays_whole():
    made = job("an-edit", REQUEST | {"image2_url": None}, {"an-edit": WORKFLOW})
    assert list(made.graph) == ["1", "3", "4"]
    assert made.graph["3"]["inputs"] == {"image1": ["1", 0]}
    assert made.uploads == {"1.image": "https://a"}
    assert WORKFLOW.graph["3"]["inputs"] == {"image1": ["1", 0], "image2": ["2", 0]}


def test_job_has_whole_numbers_where_step_functions_made_doubles_of_them():
    request = json.loads(json.dumps(REQUEST).replace(" 5,", " 9.007199254740991E15,"))
    made = job("an-edit", request, {"an-edit": WORKFLOW})
    assert (made.seed, type(made.seed)) == (MAX_WHOLE_NUMBER, int)
    graph = {"1": node("ImageInvert", image=["2", 0.0], factor=0.5, large=1e30, count=3.0)}
    inputs = job("comfyui-workflow", {"workflow": graph, "inputs": {}, "preview": False}, {}).graph["1"]["inputs"]
    assert [(value, type(value)) for value in [*inputs["image"][1:], *list(inputs.values())[1:]]] == [
        (0, int),
        (0.5, float),
        (1e30, float),
        (3, int),
    ]


def test_job_of_a_callers_graph_has_its_inputs():
    request = {"workflow": scaled(), "inputs": {"1.image": {"image_url": "https://a"}, "2.width": 9}, "preview": False}
    made = job("comfyui-workflow", request, {"an-edit": WORKFLOW})
    assert made.graph["2"]["inputs"]["width"] == 9
    assert (made.uploads, made.seed, made.model) == ({"1.image": "https://a"}, None, "comfyui-workflow")


@pytest.mark.parametrize(
    ("operation", "request_", "says"),
    [
        ("no-workflow", REQUEST, "there is no workflow no-workflow"),
        ("x", {"workflow": scaled(), "inputs": {"7.a": 1}, "preview": False}, "node 7, a: there is no such input"),
    ],
)
def test_job_that_cannot_be_made_is_refused(operation, request_, says):
    with pytest.raises(WorkflowRefused, match=says):
        job(operation, request_, {"an-edit": WORKFLOW})


def test_input_that_no_class_has_is_ignored_in_our_own_graphs_as_comfyui_does():
    assert odd(allowed=None, newer=1) is None
    assert (odd(newer=1) or "").startswith("its class has no input 'newer'")
