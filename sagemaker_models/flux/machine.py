"""Asks this machine what memory it has."""

from pathlib import Path

import torch

from sagemaker_models.flux.plan import Machine

_MEMORY = Path("/proc/meminfo")


def this_machine() -> Machine:
    """Return the first GPU, or the processor where there is none."""
    host_bytes = _free_on_host()
    if torch.cuda.is_available():
        free_bytes, _ = torch.cuda.mem_get_info()
        return Machine("cuda", free_bytes, host_bytes, torch.cuda.get_device_capability())
    return Machine("cpu", host_bytes, host_bytes)


def _free_on_host() -> int:
    lines = _MEMORY.read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return 1024 * int(kilobytes)
