"""Starts MiniStack with our corrections, in the emulator's own environment.

`python launch.py --corrections all|none|<name>,… --faults <name>,…`. It is run as a file, not as a module, so that
functions which the emulator starts do not find our modules by accident.
"""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path


def main() -> None:
    """Apply corrections and faults, then become MiniStack."""
    parser = argparse.ArgumentParser(description="MiniStack with Backlot's corrections.")
    parser.add_argument("--corrections", default="all")
    parser.add_argument("--faults", default="none")
    options = parser.parse_args()
    sys.argv[1:] = []
    for package, wanted in (("corrections", options.corrections), ("faults", options.faults)):
        folder = str(Path(__file__).parent / package)
        every = sorted(module.name for module in pkgutil.iter_modules([folder]))
        for name in {"all": every, "none": []}.get(wanted, wanted.split(",")):
            importlib.import_module(f"{package}.{name}").apply()
    from ministack.app import main as ministack  # noqa: PLC0415

    ministack()


if __name__ == "__main__":
    main()
