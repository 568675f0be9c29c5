"""Problems of a caller's graph, as problems of its request."""

from typing import Any

from pydantic_core import InitErrorDetails

from backlot.comfyui.graphs import Problem, filled, problems
from backlot.comfyui.schemas import NodeSchemas
from backlot.operations._operation import problem


def graph_problems(workflow: Any, inputs: Any, allowed: frozenset[str] | None) -> list[InitErrorDetails]:
    """Check a graph and what goes into it, whatever both are.

    Args:
        workflow: the request's field.
        inputs: the request's field.
        allowed: classes that it may use; None for those that are packaged.
    """
    schemas = NodeSchemas.packaged()
    graph, uploads, found = filled(workflow, inputs)
    allowed = schemas.names if allowed is None else allowed
    found += problems(graph, schemas, allowed=allowed, bound=frozenset(uploads))
    return [problem("workflow", each.message, _place(each), _value(graph, each)) for each in found]


def _place(found: Problem) -> tuple[int | str, ...]:
    node = () if found.node is None else (found.node,)
    return ("workflow", *node, *(() if found.field is None else ("inputs", found.field)))


def _value(graph: Any, found: Problem) -> Any:
    """Return what stands where a problem is."""
    node = graph.get(found.node) if isinstance(graph, dict) else None
    if found.field is None or not isinstance(node, dict):
        return node
    return node["inputs"].get(found.field) if isinstance(node["inputs"], dict) else None
