"""The model server: `python -m sagemaker_models.serving --model package.module:Class --weights folder --port 8080`.

Everything that an argument sets can be set by its variable instead, see `Settings`; SageMaker starts it as `serve`.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvloop
from pydantic import ValidationError

from sagemaker_models.serving.server import ModelServer
from sagemaker_models.serving.settings import Settings

#: Exit code of arguments and variables that cannot be used.
UNUSABLE = 2


def _settings() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m sagemaker_models.serving", description="Serves one model.")
    parser.add_argument("serve", nargs="?", choices=["serve"], help="what SageMaker calls it; changes nothing")
    parser.add_argument("--model", dest="MODEL_CLASS", help="package.module:Class")
    parser.add_argument("--weights", dest="WEIGHTS_FOLDER", type=Path, help="folder of the model's files")
    parser.add_argument("--host", dest="SERVER_HOST", help="address to listen on")
    parser.add_argument("--port", dest="SERVER_PORT", type=int, help="port to listen on")
    given: dict[str, Any] = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    given.pop("serve", None)
    try:
        return Settings.chosen(given)
    except ValidationError as error:
        sys.stderr.write(f"the settings cannot be used: {error}\n")
        sys.exit(UNUSABLE)


def main() -> None:
    """Serve until told to end."""
    server = ModelServer(_settings())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(server.serve())
        sys.stdout.flush()
        # A model that still loads or runs has threads that no interpreter can end.
        os._exit(code)


if __name__ == "__main__":
    main()
