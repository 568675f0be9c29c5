"""Runs the studies and prints their tables: `make capacity`, see docs/capacity.md."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cdk.capacity.ceilings import Size, ceilings
from cdk.capacity.study import (
    CHOSEN,
    LIMIT_S,
    MEAN_S,
    SCENARIOS,
    STUDIES,
    Row,
    Scenario,
    Setting,
    choose,
    measure,
    pareto,
    run,
)

#: Columns: heading of two lines, width, and how a row is written there.
_COLUMNS: tuple[tuple[str, str, int, Callable[[Row], str]], ...] = (
    ("wait", "p50, s", 8, lambda row: f"{row.wait_p50_s:.0f}"),
    ("", "p95, s", 7, lambda row: f"{row.wait_p95_s:.0f}"),
    ("", "max, s", 7, lambda row: f"{row.wait_max_s:.0f}"),
    ("", f"≤{LIMIT_S:.0f} s", 8, lambda row: f"{row.within:.1%}"),
    ("$ for", "1000", 8, lambda row: f"{row.usd_per_1000:.2f}"),
    ("hours", "a day", 10, lambda row: f"{row.instance_h_per_day:,.1f}"),
    ("on", "demand", 8, lambda row: f"{row.on_demand:.1%}"),
    ("GPUs", "busy", 6, lambda row: f"{row.utilisation:.0%}"),
    ("lost", "s a day", 8, lambda row: f"{row.lost_s:.0f}"),
    ("most", "hosts", 7, lambda row: f"{row.peak:.0f}"),
)

_LABEL = 38

#: Loads that are tried if none is named.
_USUAL_LOADS = ("small", "studio", "platform")


def main(arguments: Sequence[str]) -> int:
    """Run what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make capacity", description=__doc__)
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join([*STUDIES, "ceilings"]))
    parser.add_argument("--load", action="append", choices=SCENARIOS, help="by default small, studio and platform")
    parser.add_argument("--images", type=float, help="a load of your own: images a day, in a studio's working hours")
    parser.add_argument("--plot", type=Path, help="PNG with the study `metrics`, and a day")
    given = parser.parse_args(arguments)
    studies = given.studies or ["metrics", "ceilings"]
    unknown = sorted(set(studies) - {*STUDIES, "ceilings"})
    if unknown:
        parser.error(f"there is no study {', '.join(unknown)}; choose of {', '.join([*STUDIES, 'ceilings'])}")
    compared: dict[str, list[Row]] = {}
    for scenario in [_own(given.images)] if given.images else [SCENARIOS[name] for name in given.load or _USUAL_LOADS]:
        for study in studies:
            if study != "ceilings":
                rows = _print_study(scenario, study)
                if study == "metrics":
                    compared[scenario.name] = rows
    if "ceilings" in studies:
        _print_ceilings(given.images or 10_000_000)
    if given.plot:
        _plot(compared, given.plot)
    return 0


def _own(images_per_day: float) -> Scenario:
    studio = SCENARIOS["studio"]
    most = math.ceil(studio.max_spot * max(0.25, images_per_day / studio.demand.images_per_day))
    demand = replace(studio.demand, images_per_day=images_per_day)
    return replace(studio, name=f"{images_per_day:,.0f} images a day", demand=demand, max_spot=most)


def _print_study(scenario: Scenario, study: str) -> list[Row]:
    """Print a table line by line; `*` marks what nothing beats in both cost and wait, `>` the choice."""
    demand = scenario.demand
    print(
        f"\n{scenario.name}, {study}: {demand.images_per_day:,.0f} images a day, {scenario.days:g} days, "
        f"{scenario.seeds} runs",
        *(" " * _LABEL + "".join(f"{each[line]:>{each[2]}}" for each in _COLUMNS) for line in (0, 1)),
        sep="\n",
        flush=True,
    )
    rows = [measure(scenario, setting) for setting in STUDIES[study]()]
    best, chosen = pareto(rows), choose(rows)
    for row in rows:
        label = f"{'*' if row in best else ' '}{'>' if row is chosen else ' '} {row.label}"
        print(f"{label:{_LABEL}}" + "".join(f"{write(row):>{width}}" for _, _, width, write in _COLUMNS), flush=True)
    return rows


def _print_ceilings(images_per_day: float) -> None:
    size = Size(images_per_day, gpu_s=MEAN_S)
    print(
        f"\n{images_per_day:,.0f} images a day: {size.images_per_s:.0f} a second and {size.workers:,} GPUs at the peak"
    )
    print(f"{'needed':>10}{'quota':>10}  {'of it':>6}  {'reached at':>16}  what")
    for each in ceilings(size):
        reached = f"{images_per_day / each.share:,.0f} a day" if each.quota else "the first image"
        share = f"{each.share:6.0%}" if each.quota else "   all"
        fixed = "" if each.can_be_raised else " (fixed)"
        print(f"{each.needed:10,.0f}{each.quota:10,.0f}  {share}  {reached:>16}  {each.name}{fixed}: {each.remedy}")


def _plot(compared: dict[str, list[Row]], path: Path) -> None:
    from cdk.capacity.plot import draw_plot  # noqa: PLC0415 - only this needs matplotlib

    studio = SCENARIOS["studio"]
    settings = (
        Setting("chosen", CHOSEN),
        Setting("visible, 60 s", replace(CHOSEN, metric="visible", target_backlog_s=60)),
    )
    days = {setting.label: run(replace(studio, days=1), setting, seed=1) for setting in settings}
    draw_plot(compared, days, path)
    print(f"\n{path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
