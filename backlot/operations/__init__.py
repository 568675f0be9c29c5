"""The catalogue: one module for each operation, found by being here.

A module of this package that does not begin with an underscore defines `OPERATION`. Routes, OpenAPI, state machines,
the demo and the cost card derive from the catalogue; nothing lists operations a second time.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from backlot.errors import OperationNotFound
from backlot.operations._operation import Lane, Operation, OperationRequest, RequestContext

__all__ = ["Lane", "Operation", "OperationRequest", "RequestContext", "catalogue", "operation_named"]


@cache
def catalogue() -> dict[str, Operation]:
    """Return the operations by name, in alphabetical order."""
    names = sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    operations: list[Operation] = [import_module(f"{__name__}.{name}").OPERATION for name in names]
    return {operation.name: operation for operation in operations}


def operation_named(name: str) -> Operation:
    """Return an operation of the catalogue.

    Raises:
        OperationNotFound: there is none of this name.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise OperationNotFound(operation=name) from None
