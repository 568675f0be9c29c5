"""Scenarios that need the models' packages: run by the models' own Python, read by `make bench`."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.figures import Figure, Section, Table

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".build" / "models" / "bin" / "python"


def measured_by(module: str) -> Section:
    """Run a module of this folder with the models' Python, and read what it measured.

    Args:
        module: whose `__main__` is `print_measured`.
    """
    if not PYTHON.exists():
        raise RuntimeError("the models' environment is missing: make .build/models/ready")
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run([str(PYTHON), "-m", module, "--json", file.name], cwd=ROOT, check=True, stdout=sys.stderr)
        return _section(json.loads(Path(file.name).read_text(encoding="utf-8")))


def print_measured(module: str, devices: Mapping[str, Callable[[], Section]]) -> None:
    """Measure on the device that the command line names, and print.

    Args:
        module: its name, for the help.
        devices: how each is measured; without one, the first is.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--device", choices=tuple(devices), default=next(iter(devices)))
    parser.add_argument("--json", type=Path, help="where to write the section")
    arguments = parser.parse_args()
    section = devices[arguments.device]()
    print("\n".join(section.lines()))
    if arguments.json:
        arguments.json.write_text(json.dumps(section.as_json()), encoding="utf-8")


def _section(stored: dict[str, Any]) -> Section:
    figures = [Figure(each["name"], each["value"], each["unit"], each["bar"]) for each in stored["figures"]]
    tables = [
        Table(each["title"], tuple(each["columns"]), [tuple(row) for row in each["rows"]]) for each in stored["tables"]
    ]
    return Section(stored["title"], figures, tables)
