"""Documents that say what the code says: held against it."""

import re

import pytest

from backlot import errors
from backlot.operations import OperationRequest, catalogue
from cdk.packaging import ROOT

KINDS = (errors.CallerError, errors.TransientError, errors.DefectError)
ERRORS = [each for kind in KINDS for each in kind.__subclasses__()]


def rows(path: str) -> list[list[str]]:
    lines = (ROOT / path).read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]


def test_every_error_is_documented_in_its_order():
    assert [row[0].strip("`") for row in rows("docs/errors.md")] == [error.code() for error in ERRORS]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_error_is_documented_as_it_is(error):
    (row,) = (row for row in rows("docs/errors.md") if row[0] == f"`{error.code()}`")
    meaning = (error.__doc__ or "").strip().splitlines()[0]
    assert row[1:] == [meaning, error.remedy, "yes" if error.retry else "no"]


def test_readme_lists_the_operations_and_their_fields():
    listed = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows("README.md")}
    shared = OperationRequest.model_fields.keys()
    assert listed == {
        name: [field for field in operation.request.model_fields if field not in shared]
        for name, operation in catalogue().items()
    }


@pytest.mark.parametrize(
    "path",
    [
        *("README.md", "ARCHITECTURE.md", "docs/capacity.md", "docs/comfyui.md", "docs/operating.md"),
        "docs/performance.md",
    ],
)
def test_paths_that_documents_name_exist(path):
    text = (ROOT / path).read_text()
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:backlot|cdk|lambdas|local|stepfunctions|docs)/[\w./]+)`", text)
    base = (ROOT / path).parent
    missing = [name for name in linked if not (base / name).exists()]
    assert missing + [name for name in named if not (ROOT / name).exists()] == []
