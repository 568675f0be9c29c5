"""Everything that stands: emulator, stand-ins, model servers, deployment, GPU worker, front door."""

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from local.deployment import MASK_SECRET, REAL_PROVIDERS, STAND_IN_KEYS, Outputs, deploy
from local.emulator import emulator, is_current, start_emulator
from local.environment import real_key
from local.gpu_lane import await_gpu_worker, start_gpu_worker
from local.models import STAND_INS, await_model_server, connect_endpoint, start_model_server
from local.place import ROOT, Place
from local.processes import Background, stamp_of

#: The stand-ins and the front door start in about a second; with three places that start on two cores, in many more.
START_S = 60.0


def stand_ins(place: Place) -> Background:
    """Return the stand-ins' process."""
    return Background(place, "stand-ins")


def front_door(place: Place) -> Background:
    """Return the front door's process."""
    return Background(place, "front-door")


def up(place: Place, say: Callable[[str], None] = lambda _: None, *, faults: str = "none") -> Outputs:
    """Start what does not run and deploy what has changed.

    Args:
        place: where.
        say: is told what happens.
        faults: of the emulator, see `local/ministack/faults`.

    Raises:
        local.processes.NotStarted: a process ended, or did not answer in time.
        local.deployment.DeploymentFailed: a command of the CDK failed.
    """
    if not is_current(place):
        down(place)
        say("starting MiniStack, the emulator of AWS")
        start_emulator(place, faults=faults)
    _start_stand_ins(place)
    for name in STAND_INS:
        start_model_server(place, name)
    say("deploying with the AWS CDK")
    outputs = deploy(place)
    start_gpu_worker(place, outputs)
    _start_front_door(place, outputs)
    for name in STAND_INS:
        await_model_server(place, name)
        connect_endpoint(place, outputs, name)
    await_gpu_worker(place)
    return outputs


def down(place: Place) -> None:
    """Stop everything, whatever checkout has started it, and remove what belonged to it."""
    asked = [stand_ins(place), emulator(place)]
    asking = {file.stem for file in place.run.glob("*.pid")} - {process.name for process in asked}
    # A worker that ends hands its work back, to those that are asked.
    for together in ([Background(place, name) for name in sorted(asking)], asked):
        with ThreadPoolExecutor(max(1, len(together))) as threads:
            list(threads.map(Background.stop, together))
    # The emulator leaves an unpacked layer behind for every process of a function that it has started.
    shutil.rmtree(place.run, ignore_errors=True)


def _start_stand_ins(place: Place) -> None:
    process, stamp = stand_ins(place), stamp_of("local/stand_ins", "backlot/images", "backlot/seedream_models.py")
    if process.is_made_of(stamp):
        return
    process.stop()
    known = {**STAND_IN_KEYS, "mask-assets": MASK_SECRET}
    keys = [argument for name, key in known.items() for argument in (f"--{name}-key", key)]
    command = [sys.executable, "-m", "local.stand_ins", "--port", str(place.ports.stand_ins), *keys]
    variables = {**place.client_environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process.start(command, variables, stamp)
    process.await_answer(f"{place.stand_ins}/_health", START_S)


def _start_front_door(place: Place, outputs: Outputs) -> None:
    process, stamp = front_door(place), stamp_of("local/front_door.py")
    if process.is_made_of(stamp):
        return
    process.stop()
    api_id = outputs["ApiUrl"].split("//", 1)[1].split(".", 1)[0]
    stage = outputs["ApiUrl"].rstrip("/").rsplit("/", 1)[-1]
    process.start(
        [
            *(sys.executable, "-m", "local.front_door", "--port", str(place.ports.front_door)),
            *("--emulator", place.emulator_url, "--authority", str(place.authority)),
            *("--api", f"{api_id}/{stage}", "--cdn", outputs["CdnDomain"]),
        ],
        {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stamp,
    )
    process.await_answer(f"{place.front_door}/health", START_S)


def real_providers() -> list[str]:
    """Return the providers that are real because the environment has their keys."""
    return [name for name, (variable, *_) in REAL_PROVIDERS.items() if real_key(variable)]
