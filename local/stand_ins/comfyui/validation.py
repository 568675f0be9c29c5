"""What ComfyUI checks before it takes a prompt, and in which words it refuses."""

import traceback
from dataclasses import dataclass, field
from typing import Any

from local.stand_ins.comfyui.files import Folders
from local.stand_ins.comfyui.schemas import UPLOADS, Input, NodeClass

Graph = dict[str, dict[str, Any]]

#: Longer lists are not repeated in errors.
LISTED = 20

_CONVERTERS: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass
class Verdict:
    """What becomes of a prompt.

    Args:
        error: why none of it can run; None if some of it can.
        outputs: ids of the output nodes that can run.
        node_errors: what is wrong, by node id; may hold something although others can run.
    """

    error: dict[str, Any] | None = None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, dict[str, Any]] = field(default_factory=dict)


class Refused(Exception):
    """A field is refused; the argument is the error's entry."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(entry["message"])
        self.entry = entry


class Validator:
    """Checks prompts.

    Args:
        classes: by name.
        folders: where uploads are looked for.
        is_new: whether as 0.33 does it, or as 0.3.64.
    """

    def __init__(self, classes: dict[str, NodeClass], folders: Folders, *, is_new: bool) -> None:
        self._classes = classes
        self._folders = folders
        self._is_new = is_new

    def judge(self, graph: Graph, targets: list[str] | None) -> Verdict:
        """Check a prompt; values of the right meaning but of another type are converted in place.

        Args:
            graph: the prompt.
            targets: the output nodes that shall run; None for all.
        """
        unknown = self._unknown_class(graph)
        if unknown is not None:
            return Verdict(unknown)
        ends = [
            node_id
            for node_id, node in graph.items()
            if self._classes[node["class_type"]].is_output and (targets is None or node_id in targets)
        ]
        if not ends:
            return Verdict(_entry("prompt_no_outputs", "Prompt has no outputs", ""))
        check = _Check(graph, self._classes, self._folders, is_new=self._is_new)
        verdict = Verdict()
        told = []
        for end in ends:
            if check.output_is_valid(end):
                verdict.outputs.append(end)
                continue
            told += [f"{each['message']}: {each['details']}" for each in check.errors[end]]
            for node_id, errors in check.errors.items():
                if errors:
                    class_type = graph[node_id]["class_type"]
                    found = {"errors": errors, "dependent_outputs": [], "class_type": class_type}
                    verdict.node_errors.setdefault(node_id, found)["dependent_outputs"].append(end)
        if not verdict.outputs:
            words = "Prompt outputs failed validation"
            verdict.error = _entry("prompt_outputs_failed_validation", words, "\n".join(told))
        return verdict

    def _unknown_class(self, graph: Graph) -> dict[str, Any] | None:
        for node_id, node in graph.items():
            class_type = node.get("class_type")
            if class_type in self._classes:
                continue
            details = f"Node ID '#{node_id}'"
            if self._is_new:
                title = node.get("_meta", {}).get("title", class_type)
                more = {"node_id": node_id, "class_type": class_type, "node_title": title}
                words = f"Node '{title or f'ID #{node_id}'}' "
                words += (
                    "not found. The custom node may not be installed."
                    if class_type
                    else "has no class_type. The workflow may be corrupted or a custom node is missing."
                )
                return _entry("missing_node_type", words, details, **more)
            words = "Cannot execute because "
            words += (
                f"node {class_type} does not exist." if class_type else "a node is missing the class_type property."
            )
            return _entry("invalid_prompt", words, details)
        return None


class _Check:
    """One prompt's nodes: each is checked once, with all that it depends on.

    `errors` has each node that is not valid; without entries if only one before it is not.
    """

    def __init__(self, graph: Graph, classes: dict[str, NodeClass], folders: Folders, *, is_new: bool) -> None:
        self._graph = graph
        self._classes = classes
        self._folders = folders
        self._is_new = is_new
        self.errors: dict[str, list[dict[str, Any]]] = {}
        self._valid: set[str] = set()
        self._path: list[str] = []

    def output_is_valid(self, node_id: str) -> bool:
        try:
            return self._is_valid(node_id)
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            more = {"exception_type": type(error).__name__, "traceback": traceback.format_tb(error.__traceback__)}
            words = "Exception when validating node"
            self.errors[node_id] = [_entry("exception_during_validation", words, str(error), **more)]
            return False

    def _is_valid(self, node_id: str) -> bool:
        if node_id in self._valid or node_id in self.errors:
            return node_id in self._valid
        if self._is_new and node_id in self._path:
            self._refuse_cycle(node_id)
            return False
        node = self._graph[node_id]
        inputs, errors, is_valid = node["inputs"], [], True
        for name, expected in self._classes[node["class_type"]].inputs.items():
            try:
                if name in inputs:
                    is_valid &= self._field_is_valid(node_id, name, expected)
                elif expected.is_required:
                    raise Refused(_entry("required_input_missing", "Required input is missing", name, input_name=name))
            except Refused as refused:
                errors.append(refused.entry)
        if errors or not is_valid:
            # What was found on the way around a cycle, 0.3.64 forgets.
            found = self.errors.get(node_id, []) if self._is_new else []
            self.errors[node_id] = found + errors
            return False
        self._valid.add(node_id)
        return True

    def _refuse_cycle(self, node_id: str) -> None:
        cycle = self._path[self._path.index(node_id) :]
        way = " -> ".join(f"{each} ({self._graph[each]['class_type']})" for each in [*cycle, node_id])
        for each in cycle:
            more = {"node_id": each, "cycle_nodes": cycle}
            self.errors[each] = [_entry("dependency_cycle", "Dependency cycle detected", way, **more)]

    def _field_is_valid(self, node_id: str, name: str, expected: Input) -> bool:
        node = self._graph[node_id]
        value = node["inputs"][name]
        if isinstance(value, list):
            return self._link_is_valid(node_id, name, expected, value)
        if isinstance(value, dict) and "__value__" in value:
            value = value["__value__"]
        node["inputs"][name] = value = _converted(name, expected, value)
        if (node["class_type"], name) in UPLOADS:
            if self._folders.find(value) is None:
                words = "Custom validation failed for node"
                details = f"{name} - Invalid image file: {value}"
                raise Refused(_entry("custom_validation_failed", words, details, input_name=name))
            return True
        self._check_value(name, expected, value)
        return True

    def _link_is_valid(self, node_id: str, name: str, expected: Input, link: list[Any]) -> bool:
        told = {"input_name": name, "input_config": expected.config}
        if len(link) != 2:
            words = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            raise Refused(_entry("bad_linked_input", words, name, **told, received_value=link))
        source, slot = link
        received = self._classes[self._graph[source]["class_type"]].outputs[slot]
        if not _fits(received, expected.type):
            details = f"{name}, received_type({received}) mismatch input_type({expected.type})"
            words = "Return type mismatch between linked nodes"
            raise Refused(
                _entry("return_type_mismatch", words, details, **told, received_type=received, linked_node=link)
            )
        self._path.append(node_id)
        try:
            return self._is_valid(source)
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            told |= {"exception_message": str(error), "exception_type": type(error).__name__, "linked_node": link}
            told["traceback"] = traceback.format_tb(error.__traceback__)[-1:]
            words = "Exception when validating inner node"
            self.errors[source] = [_entry("exception_during_inner_validation", words, str(error), **told)]
            return False
        finally:
            self._path.pop()

    def _check_value(self, name: str, expected: Input, value: Any) -> None:
        told = {"input_name": name, "input_config": expected.config, "received_value": value}
        low, high = expected.options.get("min"), expected.options.get("max")
        if low is not None and value < low:
            raise Refused(_entry("value_smaller_than_min", f"Value {value} smaller than min of {low}", name, **told))
        if high is not None and value > high:
            raise Refused(_entry("value_bigger_than_max", f"Value {value} bigger than max of {high}", name, **told))
        allowed = expected.type if isinstance(expected.type, list) else None
        if self._is_new and expected.type == "COMBO":
            allowed = expected.options.get("options", [])
        if allowed is not None and value not in allowed:
            is_long = len(allowed) > LISTED
            details = f"{name}: '{value}' not in {f'(list of length {len(allowed)})' if is_long else allowed}"
            if is_long:
                told["input_config"] = None
            raise Refused(_entry("value_not_in_list", "Value not in list", details, **told))


def _converted(name: str, expected: Input, value: Any) -> Any:
    converter = _CONVERTERS.get(expected.type) if isinstance(expected.type, str) else None
    if converter is None:
        return value
    try:
        return converter(value)
    except (TypeError, ValueError, OverflowError) as error:
        words = f"Failed to convert an input value to a {expected.type} value"
        told = {"input_name": name, "input_config": expected.config, "received_value": value}
        details = f"{name}, {value}, {error}"
        raise Refused(_entry("invalid_input_type", words, details, **told, exception_message=str(error))) from error


def _fits(received: str, expected: str | list[Any]) -> bool:
    if received == expected:
        return True
    if not isinstance(expected, str):
        return False
    return bool({each.strip() for each in received.split(",")} & {each.strip() for each in expected.split(",")})


def _entry(kind: str, message: str, details: str, **extra_info: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}
