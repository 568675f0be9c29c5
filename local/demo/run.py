"""Runs the scene of an operation, and draws its contact sheet."""

from pathlib import Path

from local.demo import sheet
from local.demo.client import Client, Report, Shot
from local.demo.scenes import scene_of
from local.demo.sheet import Cell


def run(client: Client, name: str, *, route: str | None = None) -> tuple[list[Report], Path]:
    """Run all tasks of an operation's scene.

    Args:
        name: of the operation.
        route: which way it is to go, where there are several; None for the stage's own choice.

    Returns:
        What was seen of each of the operation's own tasks, and where the contact sheet lies.

    Raises:
        backlot.errors.OperationNotFound: there is no such operation.
        local.demo.client.DemoFailed: anything but a picture came out.
    """
    scene = scene_of(name, client, route=route)
    taken: list[tuple[Shot, Report]] = []
    try:
        shot = next(scene)
        while True:
            report = client.take(shot)
            taken.append((shot, report))
            shot = scene.send(report)
    except StopIteration:
        pass
    saved = client.results / f"{name}-sheet.png"
    sheet.draw([_row(shot, report) for shot, report in taken]).save(saved)
    return [report for shot, report in taken if shot.operation == name], saved


def _row(shot: Shot, report: Report) -> tuple[str, list[Cell]]:
    results = [sheet.opened(path) for path in report.saved]
    shown = [Cell("after" if len(results) == 1 else f"after, {number}", each) for number, each in enumerate(results, 1)]
    if shot.makes_masks:
        shown.append(Cell("over the picture", sheet.over(shot.before[0].picture, results[:2])))
    title = f"{shot.operation}: {shot.title}" if shot.title else shot.operation
    return title, [*shot.before, *shown]
