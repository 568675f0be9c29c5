"""`python -m bench.schp [--device cuda]`: measures SCHP in the models' environment; a scenario of `make bench` too."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Section, Table

if TYPE_CHECKING:
    from bench.stand import Stand

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".build" / "models" / "bin" / "python"


def measure_schp(_stand: "Stand") -> Section:
    """Run this module with the models' Python, which has torch, and read what it measured."""
    if not PYTHON.exists():
        raise RuntimeError("the models' environment is missing: make .build/models/ready")
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run([str(PYTHON), "-m", "bench.schp", "--json", file.name], cwd=ROOT, check=True, stdout=sys.stderr)
        return _section(json.loads(Path(file.name).read_text(encoding="utf-8")))


def main() -> None:
    """Measure on the CPU or on a GPU, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.schp", description="Measures SCHP.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, help="where to write the section")
    arguments = parser.parse_args()
    section = _measure(arguments.device)
    print("\n".join(section.lines()))
    if arguments.json:
        arguments.json.write_text(json.dumps(section.as_json()), encoding="utf-8")


def _measure(device: str) -> Section:
    if device == "cuda":
        from bench.schp_cuda import measure_cuda  # noqa: PLC0415 - a bare machine has no OpenCV

        return measure_cuda()
    from bench.schp_cpu import measure_cpu  # noqa: PLC0415 - needs torch, which the environment of `make bench` lacks

    return measure_cpu()


def _section(stored: dict[str, Any]) -> Section:
    figures = [Figure(each["name"], each["value"], each["unit"], each["bar"]) for each in stored["figures"]]
    tables = [
        Table(each["title"], tuple(each["columns"]), [tuple(row) for row in each["rows"]]) for each in stored["tables"]
    ]
    return Section(stored["title"], figures, tables)


if __name__ == "__main__":
    main()
