"""The worker: `python -m containers.comfyui.worker`; its settings come from the environment, see `Settings`.

It ends with exit code 0 when SIGTERM or the notice of a spot instance's end has told it to.
"""

import asyncio
import os
import signal
import sys

import aiohttp
from aws_lambda_powertools import Logger
from pydantic import ValidationError

from containers.comfyui.worker.deps import compose, executor, lane_on_aws
from containers.comfyui.worker.readiness import served
from containers.comfyui.worker.settings import Settings

#: Exit code of settings that cannot be used.
UNUSABLE = 2


async def run(settings: Settings) -> None:
    """Work until told to end."""
    Logger().append_keys(stage=settings.stage)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(executor())
    lane, fleet = lane_on_aws(settings)
    async with aiohttp.ClientSession() as http:
        worker = compose(settings, http, lane, fleet)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.end, number.name)
        async with served(worker.condition, settings.port):
            await worker.run()


def main() -> None:
    """Read the settings and work."""
    try:
        settings = Settings.from_environment()
    except ValidationError as error:
        problems = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        sys.stderr.write(f"the settings cannot be used: {problems}\n")
        sys.exit(UNUSABLE)
    with asyncio.Runner() as runner:
        runner.run(run(settings))
        sys.stdout.flush()
        # A call of AWS that waits for a network has a thread that no interpreter can end.
        os._exit(0)


if __name__ == "__main__":
    main()
