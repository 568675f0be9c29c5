"""How long it takes until everything stands, and what the first task in it costs."""

import subprocess
import sys

from bench.figures import Figure, Section
from bench.stand import Stand, timed
from local.deployment import bootstrap, deploy_assembly, put_provider_keys, synthesise
from local.emulator import start_emulator
from local.environment import inherited
from local.place import ROOT, Place
from local.stack import down, up

#: `cdk deploy` of a synthesised assembly into an empty, bootstrapped account, seconds.
DEPLOY_BAR_S = 3.0


def raise_stand(place: Place) -> tuple[Stand, Section]:
    """Deploy into an emulator that was just started, and measure it.

    Raises:
        local.processes.NotStarted: a process ended, or did not answer in time.
        local.deployment.DeploymentFailed: a command of the CDK failed.
    """
    down(place)
    with timed() as synthesis:
        synthesised = synthesise(place)
    with timed() as start:
        start_emulator(place)
    with timed() as bootstrapped:
        bootstrap(place)
    with timed() as deployed:
        deploy_assembly(place)
    put_provider_keys(place)
    with timed() as unchanged:
        deploy_assembly(place)
    stand = Stand(place, up(place))
    figures = [
        Figure("MiniStack, until it answers", start.seconds, "s"),
        Figure("cdk bootstrap", bootstrapped.seconds, "s"),
        Figure("cdk deploy of the prepared assembly, empty account", deployed.seconds, "s", DEPLOY_BAR_S),
        Figure("cdk deploy of the same again", unchanged.seconds, "s"),
    ]
    if synthesised:
        figures.insert(0, Figure("cdk synth", synthesis.seconds, "s"))
    return stand, Section("Deployment", [*figures, _first_task(stand), _demo(place)])


def _first_task(stand: Stand) -> Figure:
    """Measure a task that finds no worker; the API is warm, because the front door asked whether it is well."""
    body = {"image_url": stand.upload("astronaut.png")}
    with timed() as first:
        stand.finish(stand.submit("face-mask", body))
    return Figure("first face-mask task, its worker cold", first.seconds, "s")


def _demo(place: Place) -> Figure:
    """Time the demo's whole command while everything stands."""
    command = [sys.executable, "-m", "local", "--place", str(place.folder), "demo"]
    with timed() as demo:
        subprocess.run(command, cwd=ROOT, env=inherited(), stdout=subprocess.DEVNULL, check=True)
    return Figure("demo (full-face-swap) while everything stands", demo.seconds, "s")
