"""Options of the tests, and which of them share a process when several run side by side."""

import pytest


def pytest_addoption(parser) -> None:
    parser.addoption("--crash-runs", type=int, default=3, help="how many workers are killed at each point of a step")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items) -> None:
    """Keep a file's tests together; the contract tests share the templates that they take long to synthesise."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group("contract" if folder == "contract" else f"{folder}-{item.path.stem}"))
