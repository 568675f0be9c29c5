"""What a measurement gives back: figures with their bars, tables, and how both are printed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number.

    Args:
        name: what it is.
        value: the number.
        unit: of the number and its bar; empty for a ratio.
        bar: what the value should not be above; None if there is nothing to hold it against.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the value is within its bar; None without one."""
        return None if self.bar is None else self.value <= self.bar

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `bench.json`."""
        value = round(self.value, 3)
        return {"name": self.name, "value": value, "unit": self.unit, "bar": self.bar, "passed": self.passed}


@dataclass(frozen=True)
class Table:
    """Rows under a head; the first column is text, numbers are rounded where the row is made."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Section:
    """What one scenario measured."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the entry of `bench.json`."""
        tables = [{"title": each.title, "columns": each.columns, "rows": each.rows} for each in self.tables]
        return {"title": self.title, "figures": [each.as_json() for each in self.figures], "tables": tables}

    def lines(self) -> list[str]:
        """Return the section as text."""
        figures = [(each.name, _number(each.value), each.unit, *_verdict(each)) for each in self.figures]
        lines = ["", self.title, "", *_aligned([("figure", "value", "", "bar", ""), *figures])]
        for table in self.tables:
            rows = [
                tuple(_number(cell) if isinstance(cell, float) else str(cell) for cell in row) for row in table.rows
            ]
            lines += ["", f"  {table.title}", "", *_aligned([table.columns, *rows])]
        return lines


def p50(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p90(values: Sequence[float]) -> float:
    """Return the value below which nine tenths lie, interpolated between samples."""
    return statistics.quantiles(values, n=10, method="inclusive")[8]


def _cell(value: object) -> str:
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _verdict(figure: Figure) -> tuple[str, str]:
    if figure.bar is None:
        return "", ""
    return f"{figure.bar:g}", "pass" if figure.passed else "MISSED"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    made = []
    for row in rows:
        first, *others = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        made.append("    " + "   ".join([first, *others]).rstrip())
    return made
