"""Cold start of serve_api: its import and its composition root in a fresh process, beside the least that could do."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.assets import function_asset, layer_asset
from bench.figures import Figure, Section, Table, p50, p90
from bench.stand import Stand
from local.environment import inherited
from local.place import ROOT

RUNS, IMPORT_RUNS = 12, 5

#: Median of serve_api's start over that of a bare handler with the same clients, byte code as deployed.
RATIO_BAR = 1.4

#: The interpreter that runs functions in local mode; it has boto3 as Lambda's runtime has it.
PYTHON = ROOT / ".build" / "emulator" / "bin" / "python"

_TIMED = "import time; t = time.perf_counter()\n{}\nprint(repr(time.perf_counter() - t))"
OURS = _TIMED.format("from lambdas.serve_api import handler; handler._deps()")
BARE = _TIMED.format(
    "import boto3\n"
    "from pydantic import BaseModel\n"
    "[boto3.client(name) for name in ('dynamodb', 'stepfunctions', 'secretsmanager')]"
)

#: A line of `-X importtime`: own microseconds, microseconds with everything below, module.
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")

#: Groups of the table that are named; all others are summed up.
GROUPS = 10


def measure_cold_start(stand: Stand) -> Section:
    """Measure fresh processes in turns: ours and bare, with byte code and without."""
    with TemporaryDirectory() as folder:
        variants = {
            "as deployed": _staged(stand, Path(folder) / "deployed"),
            "no byte code": _staged(stand, Path(folder) / "source", _remove_byte_code),
        }
        variables = _variables(stand)
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(RUNS):
            for name, path in variants.items():
                for what, code in (("ours", OURS), ("bare", BARE)):
                    milliseconds = 1000 * float(_python(code, path, variables).stdout)
                    times.setdefault((name, what), []).append(milliseconds)
        imports = {
            f"serve_api, {name}" if what == "ours" else "bare, as deployed": _imports(code, variants[name], variables)
            for name, what, code in (
                ("as deployed", "ours", OURS),
                ("no byte code", "ours", OURS),
                ("as deployed", "bare", BARE),
            )
        }
    figures = []
    for name in variants:
        ours, bare = times[name, "ours"], times[name, "bare"]
        bar = RATIO_BAR if name == "as deployed" else None
        figures += [
            Figure(f"serve_api, {name}, p50", p50(ours), "ms"),
            Figure(f"serve_api, {name}, p90", p90(ours), "ms"),
            Figure(f"bare handler, {name}, p50", p50(bare), "ms"),
            Figure(f"serve_api to bare, {name}, of the medians", p50(ours) / p50(bare), "", bar),
        ]
    return Section(f"Cold start of serve_api, {RUNS} fresh processes each", figures, [_table(imports)])


def _staged(stand: Stand, folder: Path, change: Callable[[Path], None] = lambda _: None) -> str:
    """Copy the function and its layer as they are deployed, change them, and return the path to import from."""
    code, layer = folder / "task", folder / "opt"
    shutil.copytree(function_asset(stand.place, "serve_api"), code)
    shutil.unpack_archive(layer_asset(stand.place), layer)
    change(folder)
    return f"{code}:{layer / 'python'}"


def _remove_byte_code(folder: Path) -> None:
    for path in list(folder.rglob("__pycache__")):
        shutil.rmtree(path)


def _variables(stand: Stand) -> dict[str, str]:
    """Return the function's variables as deployed; nothing can be written beside the code, as below /opt."""
    functions = stand.aws("lambda").list_functions()["Functions"]
    ours = next(each for each in functions if each["Handler"].startswith("lambdas.serve_api."))
    return {
        **inherited(),
        **stand.place.client_environment,
        **ours["Environment"]["Variables"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
    }


def _python(code: str, path: str, variables: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    environment = variables | {"PYTHONPATH": path}
    return subprocess.run(
        [str(PYTHON), *options, "-c", code], env=environment, capture_output=True, text=True, check=True
    )


def _imports(code: str, path: str, variables: dict[str, str]) -> dict[str, float]:
    """Return milliseconds of import by package, the medians of some processes."""
    samples: dict[str, list[float]] = {}
    for _ in range(IMPORT_RUNS):
        written = _python(code, path, variables, "-X", "importtime").stderr
        groups: Counter[str] = Counter()
        for microseconds, module in _IMPORT.findall(written):
            package = module.split(".")[0]
            known = package in sys.stdlib_module_names or package.startswith("_")
            groups["standard library" if known else package] += int(microseconds)
        for package, sum_us in groups.items():
            samples.setdefault(package, []).append(sum_us / 1000)
    return {package: p50(values) for package, values in samples.items()}


def _table(imports: dict[str, dict[str, float]]) -> Table:
    groups = list(imports.values())
    named = sorted(groups[0], key=lambda package: -groups[0][package])[:GROUPS]
    rows: list[tuple[Any, ...]] = [(name, *(group.get(name, 0.0) for group in groups)) for name in named]
    rows.append(("others", *(sum(ms for name, ms in group.items() if name not in named) for group in groups)))
    rows.append(("all imports", *(sum(group.values()) for group in groups)))
    title = f"imports by package, ms, medians of {IMPORT_RUNS} processes under -X importtime, which slows them"
    return Table(title, ("package", *imports), rows)
