"""Starts MiniStack with our corrections, in the emulator's own environment: `python launch.py [correction …]`.

Without arguments all corrections are applied. It is run as a file, not as a module, so that functions which the
emulator starts do not find our modules by accident.
"""

import importlib
import pkgutil
import sys
from pathlib import Path


def main() -> None:
    """Apply the corrections, then become MiniStack."""
    folder = Path(__file__).parent / "corrections"
    wanted = sys.argv[1:] or sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    sys.argv[1:] = []
    for name in wanted:
        if name != "none":
            importlib.import_module(f"corrections.{name}").apply()
    from ministack.app import main as ministack  # noqa: PLC0415

    ministack()


if __name__ == "__main__":
    main()
