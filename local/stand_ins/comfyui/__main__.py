"""The stand-in's process: `python -m local.stand_ins.comfyui --port 8188`."""

import argparse
import tempfile
from pathlib import Path

from aiohttp import web

from local.stand_ins.comfyui.application import VERSIONS, application
from local.stand_ins.comfyui.records import Settings


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Stand-in of ComfyUI; see local/stand_ins/comfyui.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, help="for uploads and results; without it, they go with the process")
    parser.add_argument("--protocol", choices=VERSIONS, default="0.3")
    parser.add_argument("--step-seconds", type=float, default=0.12, help="one step of a sampler")
    parser.add_argument("--sampling-seconds", type=float, default=0.0, help="all steps together, instead")
    parser.add_argument("--no-previews", action="store_true", help="as ComfyUI without --preview-method")
    options = parser.parse_args()
    settings = Settings(
        step_s=options.step_seconds, sampling_s=options.sampling_seconds, previews=not options.no_previews
    )
    with tempfile.TemporaryDirectory() as passing:
        app = application(options.folder or Path(passing), settings, protocol=options.protocol)
        web.run_app(app, host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
