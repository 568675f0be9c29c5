"""Definitions of the operations' state machines: an operation's own file, completed with what all of them have.

A file in `stepfunctions/` holds the operation's own states; operations of the GPU lane that have none share
`workflow.asl.json`, since a workflow is one step. A work state (`…waitForTaskToken`) says where its message
goes, which step it names and with what input. `_shared.json` holds the rest: the message's identity, time limit,
retries, the catch that keeps the input, the output that collects the steps, and the states that record how a task ends.
"""

import json
from typing import Any

from backlot.operations import Lane, Operation
from cdk.packaging import ROOT

FOLDER = ROOT / "stepfunctions"

#: Name of the file of the GPU lane's operations.
WORKFLOW = "workflow"


def definition(operation: Operation) -> dict[str, Any]:
    """Return the whole definition of an operation's machine.

    Whatever a work state says itself stays as it is.
    """
    machine = read(file_of(operation))
    shared = json.loads((FOLDER / "_shared.json").read_text("utf-8"))
    identity = {**shared["MessageBody"], "operation": operation.name}
    states = {
        name: _complete(state, identity, shared["Work"]) if is_work(state) else state
        for name, state in machine["States"].items()
    }
    return {**machine, "States": {**states, **shared["States"]}}


def file_of(operation: Operation) -> str:
    """Return the name of the file with an operation's states."""
    has_own = (FOLDER / f"{operation.module}.asl.json").exists()
    return WORKFLOW if operation.lane is Lane.GPU and not has_own else operation.module


def read(name: str) -> dict[str, Any]:
    """Return a file of the folder as it is."""
    machine: dict[str, Any] = json.loads((FOLDER / f"{name}.asl.json").read_text("utf-8"))
    return machine


def is_work(state: dict[str, Any]) -> bool:
    """Tell whether a state sends a message and waits until its token is answered."""
    return str(state.get("Resource", "")).endswith(".waitForTaskToken")


def _complete(state: dict[str, Any], identity: dict[str, Any], work: dict[str, Any]) -> dict[str, Any]:
    arguments = state["Arguments"]
    body = {**identity, **arguments["MessageBody"]}
    complete = {**state, "Arguments": {**arguments, "MessageBody": body}}
    complete |= {name: value for name, value in work.items() if name not in state}
    return complete | {"Next": complete.pop("Next")}
