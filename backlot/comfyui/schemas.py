"""Node classes of a ComfyUI server, read from what it answers to `GET /object_info`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Self

#: Types whose values a graph writes out; values of all others come over a link.
LITERAL_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})

#: A type that fits every other.
ANY_TYPE = "*"

#: How the names of ComfyUI's types begin whose inputs depend on other inputs, or whose type on what is linked to them.
_DYNAMIC = "COMFY_"


@dataclass(frozen=True)
class NodeInput:
    """An input of a node class.

    Args:
        types: that it takes.
        is_required: whether a graph has to give it.
        choices: of a list, what it takes; None if it is no list, or the server does not say.
        minimum: the smallest number, None without a limit.
        maximum: the largest number, None without a limit.
        is_multiline: of a text, whether it is a prompt or the like; texts of one line may name files.
        is_upload: whether it names a file that was uploaded.
        is_picture: whether that file is a picture.
        takes_several: of a list, whether several choices are given at once.
    """

    types: frozenset[str]
    is_required: bool
    choices: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    is_multiline: bool = False
    is_upload: bool = False
    is_picture: bool = False
    takes_several: bool = False

    @property
    def is_dynamic(self) -> bool:
        """Whether ComfyUI alone knows what it takes; `mode.width` may be one of the inputs of a dynamic `mode`."""
        return is_dynamic(self.types)

    @property
    def is_text(self) -> bool:
        """Whether it takes a choice or a text of one line, which may name a file."""
        return "COMBO" in self.types or ("STRING" in self.types and not self.is_multiline)

    @classmethod
    def of(cls, specification: Any, *, is_required: bool) -> Self:
        """Read the value of a name in `input`: `[type or list of choices, options]`; what is unknown is left open."""
        kind, options = _parts(specification)
        types = _type_names(kind)
        choices = kind if isinstance(kind, list) else options.get("options")
        return cls(
            types=types,
            is_required=is_required,
            choices=tuple(choices) if "COMBO" in types and isinstance(choices, list) else None,
            minimum=_number(options.get("min")),
            maximum=_number(options.get("max")),
            is_multiline=options.get("multiline") is True,
            is_upload=any(name.endswith("_upload") and given is True for name, given in options.items()),
            is_picture=options.get("image_upload") is True,
            takes_several=bool(options.get("multiselect")),
        )


@dataclass(frozen=True)
class NodeClass:
    """A node class.

    Args:
        inputs: by name; those that ComfyUI fills in itself are not among them.
        outputs: the types of each output.
        is_output: whether a graph may end with it.
    """

    inputs: Mapping[str, NodeInput]
    outputs: tuple[frozenset[str], ...]
    is_output: bool

    @classmethod
    def of(cls, described: Any) -> Self:
        """Read the value of a class in `/object_info`."""
        described = described if isinstance(described, dict) else {}
        groups = described.get("input")
        inputs = {
            name: NodeInput.of(specification, is_required=group == "required")
            for group in ("required", "optional")
            for name, specification in _mapping(groups, group).items()
        }
        outputs = described.get("output")
        return cls(
            inputs=inputs,
            outputs=tuple(_type_names(kind) for kind in outputs) if isinstance(outputs, list) else (),
            is_output=described.get("output_node") is True,
        )

    def input(self, name: str) -> NodeInput | None:
        """Return an input; one of a dynamic input's is that input. None if there is none."""
        found = self.inputs.get(name) or self.inputs.get(name.partition(".")[0])
        return found if name in self.inputs or (found is not None and found.is_dynamic) else None


class NodeSchemas:
    """The node classes of a server.

    Args:
        classes: by name.
        is_complete: whether they are all classes of the server that will run a graph, with the model files that lie
            there; if not, an unknown class and an empty list of choices tell nothing.
    """

    def __init__(self, classes: Mapping[str, NodeClass], *, is_complete: bool) -> None:
        self._classes = classes
        self.is_complete = is_complete
        self.names = frozenset(classes)
        #: Types that come out of some class.
        self.linked_types = frozenset(
            name for each in classes.values() for kind in each.outputs for name in kind if name != ANY_TYPE
        )

    @classmethod
    def of(cls, object_info: dict[str, Any]) -> Self:
        """Read a running server's answer to `GET /object_info`."""
        return cls({name: NodeClass.of(each) for name, each in object_info.items()}, is_complete=True)

    @classmethod
    @cache
    def packaged(cls) -> Self:
        """Return the classes that lie beside this module: those of ComfyUI itself that may be used by default.

        They are the answer of ComfyUI 0.3.64, cut to what is read here and without the names of its files. None of
        them takes a path or a URL, writes models, or evaluates what it is given.
        """
        text = (files("backlot.comfyui") / "object_info.json").read_text("utf-8")
        return cls({name: NodeClass.of(each) for name, each in json.loads(text).items()}, is_complete=False)

    def get(self, name: str) -> NodeClass | None:
        """Return a class, None if there is none of this name."""
        return self._classes.get(name)

    def input(self, node_class: str, field: str) -> NodeInput:
        """Return an input of a class that exists."""
        return self._classes[node_class].inputs[field]


def is_dynamic(types: frozenset[str]) -> bool:
    """Tell whether ComfyUI alone knows what the types stand for."""
    return any(name.startswith(_DYNAMIC) for name in types)


def _parts(specification: Any) -> tuple[Any, dict[str, Any]]:
    kind, options, *_ = [*specification, None, None] if isinstance(specification, list) else (specification, None)
    return kind, options if isinstance(options, dict) else {}


def _type_names(kind: Any) -> frozenset[str]:
    """Read a type: a name, several with commas between, or a list of choices."""
    if isinstance(kind, list):
        return frozenset({"COMBO"})
    return frozenset(name.strip() for name in kind.split(",")) if isinstance(kind, str) else frozenset({ANY_TYPE})


def _mapping(groups: Any, name: str) -> dict[str, Any]:
    found = groups.get(name) if isinstance(groups, dict) else None
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
