"""The machine that deploys: its programs."""

import subprocess

from cdk.doctor.port import Machine
from cdk.packaging import ROOT

#: Docker's daemon answers within this time, or not at all, seconds.
_WAIT_S = 15


def this_machine() -> Machine:
    """Look at this machine."""
    node = _said("node", "--version")
    return Machine(
        node=node.removeprefix("v") if node else None,
        docker=_said("docker", "info", "--format", "{{.ServerVersion}}") is not None,
        cdk=(ROOT / "node_modules" / ".bin" / "cdk").exists(),
    )


def _said(*command: str) -> str | None:
    """Return what a program prints; None if there is none, or if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
