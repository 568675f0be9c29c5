"""Graphs of ComfyUI's, and how a request becomes one.

A workflow of ours is a graph and a binding, which says where the fields of a request go. A request of
`comfyui-workflow` brings both itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backlot.comfyui import MAX_WHOLE_NUMBER, RUN_WORKFLOW
from backlot.comfyui.checks import Graph, Problem, problems
from backlot.errors import WorkflowRefused

__all__ = ["RUN_WORKFLOW", "Binding", "Graph", "Job", "Problem", "Workflow", "bare", "filled", "job", "problems"]


@dataclass(frozen=True)
class Binding:
    """Where the fields of a request go in a workflow of ours.

    Args:
        images: from a field with an image's URL to `<node id>.<field>` of a node that loads it; where the request has
            none, that node and every link to it are removed.
        values: from a field to `<node id>.<field>`; where the request has null, the workflow's value stays.
        model: what results say they were made with.
    """

    images: Mapping[str, str]
    values: Mapping[str, str]
    model: str


@dataclass(frozen=True)
class Workflow:
    """A workflow of ours.

    Args:
        graph: in API format.
        binding: of an operation's request.
    """

    graph: Graph
    binding: Binding


@dataclass(frozen=True)
class Job:
    """What a worker runs.

    Args:
        graph: complete but for the names of uploaded files.
        uploads: `<node id>.<field>` of each input that gets such a name, and the image's URL.
        seed: with which it runs, if the operation has one.
        model: what results say they were made with.
        preview: whether the caller wants to see the picture while it is made.
    """

    graph: Graph
    uploads: Mapping[str, str]
    seed: int | None
    model: str
    preview: bool


def job(operation: str, request: Mapping[str, Any], workflows: Mapping[str, Workflow]) -> Job:
    """Turn a request, checked when it was submitted, into what a worker runs.

    Args:
        operation: its name.
        request: as the operation's model dumped it and Step Functions handed it on.
        workflows: of ours, by operation.

    Raises:
        WorkflowRefused: it names nodes that do not exist, or there is no workflow of this operation.
    """
    request = _exact(request)
    workflow = workflows.get(operation)
    if workflow is not None:
        graph, inputs, model = _ours(workflow, request)
    elif "workflow" in request:
        graph, inputs, model = request["workflow"], request["inputs"], operation
    else:
        raise WorkflowRefused(problems=f"there is no workflow {operation}")
    graph, uploads, found = filled(graph, inputs)
    if found:
        raise WorkflowRefused(problems="; ".join(map(str, found)))
    return Job(graph, uploads, seed=request.get("seed"), model=model, preview=request["preview"])


def filled(graph: Any, inputs: Any) -> tuple[Any, dict[str, str], list[Problem]]:
    """Write a request's inputs into a graph.

    Args:
        graph: whatever it is; it stays as it is.
        inputs: by `<node id>.<field>`: a literal, or `{"image_url": …}`.

    Returns:
        The bare graph with the literals, the URLs of images, and the inputs of nodes that do not exist.
    """
    if not isinstance(graph, dict):
        return graph, {}, []
    graph = bare(graph)
    uploads: dict[str, str] = {}
    found = []
    for place, value in inputs.items() if isinstance(inputs, dict) else ():
        node, _, field = place.partition(".")
        if isinstance(value, dict):
            uploads[place] = value.get("image_url", "")
        elif isinstance(graph.get(node), dict) and isinstance(graph[node]["inputs"], dict) and field:
            graph[node]["inputs"][field] = value
        else:
            found.append(Problem(node, field or None, 'there is no such input; name it "<node id>.<field>"'))
    return graph, uploads, found


def bare(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Return a graph with what is run of it: editors add titles, positions and the like."""
    return {node: _bare(content) for node, content in graph.items()}


def _bare(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    inputs = content.get("inputs", {})
    return {"class_type": content.get("class_type"), "inputs": dict(inputs) if isinstance(inputs, dict) else inputs}


def _ours(workflow: Workflow, request: Mapping[str, Any]) -> tuple[Graph, dict[str, Any], str]:
    binding = workflow.binding
    inputs = {place: request[field] for field, place in binding.values.items() if request[field] is not None}
    graph = workflow.graph
    for field, place in binding.images.items():
        if request[field] is None:
            graph = _without(graph, place.partition(".")[0])
        else:
            inputs[place] = {"image_url": request[field]}
    return graph, inputs, binding.model


def _without(graph: Graph, absent: str) -> Graph:
    """Return a graph without a node and the links to it."""
    return {
        node: {
            **content,
            "inputs": {
                field: value
                for field, value in content["inputs"].items()
                if not (isinstance(value, list) and value[0] == absent)
            },
        }
        for node, content in graph.items()
        if node != absent
    }


def _exact(request: Mapping[str, Any]) -> Any:
    """Turn numbers back into whole ones that Step Functions' JSONata, which has doubles only, may have changed."""

    def number(text: str) -> int | float:
        value = float(text)
        return int(value) if value.is_integer() and abs(value) <= MAX_WHOLE_NUMBER else value

    return json.loads(json.dumps(request), parse_float=number)
