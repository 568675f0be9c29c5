"""What real servers have answered to the scenarios: a folder for each version, a file for each scenario."""

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def versions() -> set[str]:
    """Return the versions of which there are transcripts."""
    return {each.name for each in _HERE.iterdir() if each.is_dir() and each.name[0].isdigit()}


def transcript(version: str, name: str) -> dict[str, Any]:
    """Return what a version has answered."""
    return json.loads((_HERE / version / f"{name}.json").read_text())


def keep(version: str, name: str, said: dict[str, Any]) -> None:
    """Write what a version has answered, with a line for each step and message."""
    parts = (
        f" {json.dumps(part)}: [\n"
        + ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in entries)
        + "\n ]"
        for part, entries in said.items()
    )
    path = _HERE / version / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
