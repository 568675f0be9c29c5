"""`python -m bench [scenario …]`: deploys into a place of its own, measures, prints tables, writes `.local/bench.json`.

The exit status tells whether everything could be measured; a missed bar is information.
"""

import argparse
import os
import platform
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.clicks import measure_clicks
from bench.cold_start import measure_cold_start
from bench.deployment import raise_stand
from bench.figures import Figure, Section
from bench.gpu_lane import measure_gpu_lane
from bench.layer import measure_layer
from bench.listing import measure_listing
from bench.models_environment import measured_by
from bench.own_models import measure_own_models
from bench.polling import measure_polling
from bench.serving import measure_serving
from bench.stand import Stand
from bench.tasks import measure_tasks
from local.deployment import write_json
from local.place import ROOT, Place
from local.stack import down, real_providers

#: What is measured on a deployment that stands, in this order: a new scenario is a function of a `Stand` and a line.
SCENARIOS: dict[str, Callable[[Stand], Section]] = {
    "tasks": measure_tasks,
    "polling": measure_polling,
    "listing": measure_listing,
    "cold-start": measure_cold_start,
    "layer": measure_layer,
    "gpu-lane": measure_gpu_lane,
    "serving": lambda _: measure_serving(),
    "schp": lambda _: measured_by("bench.schp"),
    "segment": lambda _: measured_by("bench.segment"),
    "clicks": measure_clicks,
    "own-models": measure_own_models,
}


def main() -> None:
    """Measure what the arguments name, everything without any."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Backlot in local mode.")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    wanted = parser.parse_args().scenarios or list(SCENARIOS)
    if unknown := set(wanted) - SCENARIOS.keys():
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    if real := real_providers():
        sys.exit(f"the shell has a real key of {', '.join(real)}; measuring with it would cost money")
    machine = _machine()
    print("  ".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    sections, failed = _measure(Place.open(ROOT / ".local" / "bench"), wanted)
    machine["load_after"] = round(os.getloadavg()[0], 2)
    write_json(ROOT / ".local" / "bench.json", {"machine": machine, "sections": [each.as_json() for each in sections]})
    for line in _bars([figure for section in sections for figure in section.figures]):
        print(line)
    print(
        f"\nload average before {machine['load_before']}, after {machine['load_after']}; .local/bench.json has it all"
    )
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _measure(place: Place, wanted: list[str]) -> tuple[list[Section], list[str]]:
    """Measure on a deployment of the bench's own, and remove it afterwards."""
    sections: list[Section] = []
    failed: list[str] = []

    def take(name: str, scenario: Callable[[], Section]) -> None:
        try:
            section = scenario()
        except Exception:  # noqa: BLE001 - one failed scenario must not cost the others
            traceback.print_exc()
            failed.append(name)
        else:
            sections.append(section)
            print("\n".join(section.lines()), flush=True)

    try:
        stand, deployment = raise_stand(place)
        take("deployment", lambda: deployment)
        for name in wanted:
            take(name, lambda scenario=SCENARIOS[name]: scenario(stand))  # type: ignore[misc]
    finally:
        down(place)
    return sections, failed


def _machine() -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _bars(figures: list[Figure]) -> list[str]:
    held = [figure for figure in figures if figure.bar is not None]
    lines = ["", "Bars", ""]
    for figure in held:
        verdict = "pass" if figure.passed else "MISSED"
        lines.append(f"    {verdict:<8}{figure.name}: {figure.value:.2f} {figure.unit} (bar {figure.bar:g})")
    return lines


if __name__ == "__main__":
    main()
