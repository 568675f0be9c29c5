"""Checks a graph against node classes, before it costs anything: everything that is wrong, by node and field."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any

from backlot.comfyui.literals import names_place, transfer_problem, value_problem
from backlot.comfyui.schemas import ANY_TYPE, NodeClass, NodeInput, NodeSchemas, is_dynamic

#: A graph in ComfyUI's API format: `{"<node id>": {"class_type": …, "inputs": {name: literal or [node id, output]}}}`.
Graph = dict[str, dict[str, Any]]

#: The input with which output nodes name their files; the worker writes it.
FILENAME_PREFIX = "filename_prefix"

#: What older editors write beside the input of an upload, and no server reads.
_UPLOAD_BUTTON = "upload"

#: Key under which a literal stands that would be taken for a link as it is.
_WRAPPED = "__value__"

#: How many problems of a graph are named, and how many nodes of a circle.
MAX_PROBLEMS, _MAX_CIRCLE = 100, 20

_NODE_ID = re.compile(r"[A-Za-z0-9_:-]{1,64}")


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a graph.

    Args:
        node: id of the node, None if it is the graph as a whole.
        field: name of the node's input, None if it is the node as a whole.
        message: what is wrong, and what would be right.
    """

    node: str | None
    field: str | None
    message: str

    def __str__(self) -> str:
        place = "" if self.node is None else f"node {self.node}"
        place += "" if self.field is None else f", {self.field}"
        return f"{place}: {self.message}" if place else self.message


def problems(
    graph: Any, schemas: NodeSchemas, *, allowed: frozenset[str] | None, bound: frozenset[str] = frozenset()
) -> list[Problem]:
    """Return everything that is wrong with a graph, whatever it is; of more than `MAX_PROBLEMS` the first.

    Args:
        graph: JSON; nothing about it is known.
        schemas: classes that there are.
        allowed: classes that its author may use, who is then not trusted either with names of files; None for a graph
            of ours.
        bound: `<node id>.<field>` of inputs that get the name of an uploaded picture when the graph is run.
    """
    whole = _form_problem(graph)
    if whole is not None:
        return [Problem(None, None, whole)]
    return list(islice(_Check(graph, schemas, allowed, bound).run(), MAX_PROBLEMS))


def _form_problem(graph: Any) -> str | None:
    if not isinstance(graph, dict) or not graph:
        return "a workflow is an object of at least one node, by node ids"
    if isinstance(graph.get("nodes"), list):
        return "this is the editor's format; export the workflow with File > Export (API)"
    try:
        json.dumps(graph)
    except (RecursionError, TypeError, ValueError) as error:
        return f"it cannot be written as JSON: {error}"
    return None


@dataclass(frozen=True)
class _Check:
    graph: dict[Any, Any]
    schemas: NodeSchemas
    allowed: frozenset[str] | None
    bound: frozenset[str]

    def run(self) -> Iterator[Problem]:
        for node, content in self.graph.items():
            yield from self._node(node, content)
        yield from self._bound_places()
        yield from self._circle()
        if not any(self._may_be_output(node) for node in self.graph):
            yield Problem(None, None, "no node saves anything; add an output node such as SaveImage")

    def _class(self, node: Any) -> NodeClass | None:
        """Return the class of a node, None if it is not known."""
        content = self.graph.get(node) if isinstance(node, str) else None
        name = content.get("class_type") if isinstance(content, dict) else None
        return self.schemas.get(name) if isinstance(name, str) else None

    def _may_be_output(self, node: Any) -> bool:
        found = self._class(node)
        return found.is_output if found else not self.schemas.is_complete

    def _node(self, node: Any, content: Any) -> Iterator[Problem]:
        if not isinstance(node, str) or not _NODE_ID.fullmatch(node):
            yield Problem(str(node)[:64], None, "a node id has 1 to 64 letters, digits, '_', '-' and ':'")
            return
        if not isinstance(content, dict):
            yield Problem(node, None, "a node is an object with class_type and inputs")
            return
        name, inputs = content.get("class_type"), content.get("inputs", {})
        if not isinstance(name, str):
            yield Problem(node, None, "class_type has to name a node class")
        elif self.allowed is not None and name not in self.allowed:
            hint = "" if name in self.schemas.names else _meant(name, self.allowed)
            yield Problem(node, None, f"class {name[:80]!r} is not allowed here{hint}")
        elif self.schemas.is_complete and self.schemas.get(name) is None:
            yield Problem(node, None, f"this ComfyUI has no class {name[:80]!r}{_meant(name, self.schemas.names)}")
        elif not isinstance(inputs, dict):
            yield Problem(node, None, "its inputs are an object, by their names")
        else:
            yield from self._inputs(node, inputs)

    def _inputs(self, node: str, inputs: dict[str, Any]) -> Iterator[Problem]:
        schema = self._class(node)
        for field, value in inputs.items():
            if f"{node}.{field}" in self.bound:
                continue
            if isinstance(value, list):
                yield from self._link(node, field, value, schema)
            else:
                message = self._literal_problem(schema, field, value)
                if message:
                    yield Problem(node, field, message)
        for field, wanted in schema.inputs.items() if schema else ():
            is_there = field in inputs or f"{node}.{field}" in self.bound
            if wanted.is_required and not is_there and not wanted.is_dynamic:
                yield Problem(node, field, "this input is missing")

    def _link(self, node: str, field: str, link: list[Any], schema: NodeClass | None) -> Iterator[Problem]:
        source, output = link if len(link) == 2 else (None, None)
        if not isinstance(source, str) or isinstance(output, bool) or not isinstance(output, int):
            yield Problem(node, field, 'a link is ["<node id>", <output>]; a literal list is {"__value__": […]}')
            return
        if source not in self.graph:
            yield Problem(node, field, f"it is linked to node {source[:64]}, which does not exist")
            return
        wanted = schema.input(field) if schema else None
        if schema and wanted is None:
            yield Problem(node, field, _unknown(field, schema))
        elif wanted is not None and self.allowed is not None and wanted.is_text and field != FILENAME_PREFIX:
            yield Problem(node, field, "a text of one line, or a choice, has to be written out and takes no link")
        given, source = self._class(source), source[:64]
        if given is None:
            return
        if not 0 <= output < len(given.outputs):
            count = len(given.outputs)
            yield Problem(node, field, f"node {source} has {count} outputs, counted from 0; there is no {output}")
        elif wanted is not None and not _fits(given.outputs[output], wanted):
            has, takes = ", ".join(sorted(given.outputs[output])), ", ".join(sorted(wanted.types))
            yield Problem(node, field, f"it takes {takes}; output {output} of node {source} is {has}")

    def _literal_problem(self, schema: NodeClass | None, field: str, value: Any) -> str | None:
        value = value[_WRAPPED] if isinstance(value, dict) and _WRAPPED in value else value
        message = transfer_problem(value)
        if message or schema is None:
            return message
        wanted = schema.input(field)
        if wanted is None:
            is_button = field == _UPLOAD_BUTTON and any(each.is_upload for each in schema.inputs.values())
            # ComfyUI ignores them, and workflows of ours name what its newer versions need.
            return None if is_button or self.allowed is None else _unknown(field, schema)
        if self.allowed is not None and wanted.is_upload:
            return 'files are bound, not named: "inputs": {"<node id>.<field>": {"image_url": "https://…"}}'
        is_trusted = self.allowed is None or field == FILENAME_PREFIX or wanted.is_multiline
        # What a list offers is no place of the author's; a list that is not known here is known where the graph runs.
        is_place = not is_trusted and wanted.choices is None and names_place(value)
        message = value_problem(wanted, value, self.schemas)
        return message or ("it must not name a file or a URL" if is_place else None)

    def _bound_places(self) -> Iterator[Problem]:
        for place in sorted(self.bound):
            node, _, field = place.partition(".")
            if node not in self.graph:
                yield Problem(node, field, "a picture is bound to it, but there is no such node")
                continue
            schema = self._class(node)
            wanted = schema.input(field) if schema else None
            if schema and not (wanted and wanted.is_picture):
                fields = [name for name, each in schema.inputs.items() if each.is_picture]
                hint = f"; {', '.join(fields)} does" if fields else ""
                yield Problem(node, field, f"this input takes no uploaded picture{hint}")

    def _circle(self) -> Iterator[Problem]:
        sources = {node: list(_sources(content)) for node, content in self.graph.items()}
        try:
            TopologicalSorter(sources).prepare()
        except CycleError as error:
            source, node, *_ = circle = error.args[1]
            fields = self.graph[node]["inputs"].items()
            field = next(name for name, value in fields if isinstance(value, list) and value[:1] == [source])
            shown = " → ".join(circle[:_MAX_CIRCLE]) + (" …" if len(circle) > _MAX_CIRCLE else "")
            yield Problem(node, field, f"the links go in a circle: {shown}")


def _sources(content: Any) -> Iterator[str]:
    """Yield the nodes that a node is linked to."""
    inputs = content.get("inputs") if isinstance(content, dict) else None
    for value in inputs.values() if isinstance(inputs, dict) else ():
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
            yield value[0]


def _fits(given: frozenset[str], wanted: NodeInput) -> bool:
    return bool(given & wanted.types) or ANY_TYPE in given | wanted.types or is_dynamic(given | wanted.types)


def _unknown(field: str, schema: NodeClass) -> str:
    return f"its class has no input {field[:80]!r}; it has {', '.join(schema.inputs) or 'none'}"


def _meant(name: str, names: frozenset[str]) -> str:
    similar = get_close_matches(name[:80], sorted(names), n=3)
    return f"; did you mean {', '.join(similar)}?" if similar else ""
