"""What the doctor says: one line for each thing that it looked at."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: a problem stops a deployment or what it is for, a warning is for a person to decide."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line.

    Args:
        level: how bad it is.
        what: was found.
        do: what to do about it; empty if nothing.
        where: the page of the console, or the command.
    """

    level: Level
    what: str
    do: str = ""
    where: str = ""

    def line(self) -> str:
        """Return it as text."""
        parts = [f"{self.level:<8} {self.what}", self.do, self.where]
        return " → ".join(part for part in parts if part)


def ok(what: str) -> Finding:
    """Return a finding that is well."""
    return Finding(Level.OK, what)


def warning(what: str, do: str, where: str = "") -> Finding:
    """Return a finding for a person to decide."""
    return Finding(Level.WARNING, what, do, where)


def problem(what: str, do: str, where: str = "") -> Finding:
    """Return a finding that stops a deployment, or what it is for."""
    return Finding(Level.PROBLEM, what, do, where)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of some findings."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
