"""What local mode takes from the shell that it is started in; it reads nothing else of it."""

import os
from pathlib import Path

#: Variables that a child process keeps.
KEPT = ("PATH", "HOME", "LANG")


def inherited() -> dict[str, str]:
    """Return the variables that child processes keep."""
    return {name: value for name in KEPT if (value := os.environ.get(name))}  # noqa: TID251


def real_key(variable: str) -> str | None:
    """Return a provider's real API key, if the shell has one."""
    return os.environ.get(variable) or None  # noqa: TID251


def checkpoint_folder(variable: str) -> Path | None:
    """Return the folder of a model's real checkpoint, if the shell names one."""
    named = os.environ.get(variable)  # noqa: TID251
    return Path(named).resolve() if named else None


def comfyui_url() -> str | None:
    """Return where a real ComfyUI answers, if the shell names one."""
    return (os.environ.get("COMFYUI_URL") or "").rstrip("/") or None  # noqa: TID251


def stand_ins_url() -> str | None:
    """Return where a model's stand-in asks for faults; None if it runs alone."""
    return os.environ.get("STAND_INS_URL") or None  # noqa: TID251
