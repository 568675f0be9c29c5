"""Looks at this machine, the account and the stage; prints one line for each thing, and fails if there is a problem."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from cdk.config import Stage
from cdk.doctor import content, deployment, quotas
from cdk.doctor.account import AwsAccount
from cdk.doctor.findings import Finding, Level, problem, warning, worst
from cdk.doctor.lane import GpuLane
from cdk.doctor.machine import this_machine
from cdk.doctor.port import Account, Machine, Unanswered, Unreachable
from cdk.gpu_models import Manifest
from cdk.stages import StageUnknown, stage_named

Check = Callable[[Account], Iterable[Finding]]


def checks(stage: Stage, lane: GpuLane) -> list[Check]:
    """Return what is asked of the account, in the order in which it is told."""
    everywhere = (
        deployment.credentials,
        deployment.bootstrap,
        deployment.stacks,
        deployment.names,
        content.secrets,
        content.checkpoints,
        quotas.functions,
    )
    found: list[Check] = [partial(check, stage) for check in everywhere]
    if not stage.emulated:
        found.append(partial(quotas.model_endpoints, stage))
        found += [partial(quotas.gpu_hosts, lane), partial(quotas.network, stage, lane)]
        found.append(partial(content.gpu_models, stage, lane))
    return found


def diagnose(stage: Stage, machine: Machine, find: Callable[[Stage], Account]) -> Iterator[Finding]:
    """Look at everything.

    Args:
        stage: that is to be deployed.
        machine: that deploys.
        find: finds the account.
    """
    lane = GpuLane.of(stage, Manifest.read())
    yield from deployment.programs(stage, machine, lane)
    yield from deployment.settings(stage)
    yield from content.portraits(stage)
    yield from content.licences(stage)
    try:
        account = find(stage)
        for check in checks(stage, lane):
            try:
                # Whole or not at all: half an answer would look like all of it.
                yield from list(check(account))
            except Unanswered as error:
                yield warning(f"could not be looked at: {error}", "ask with credentials that may")
    except (Unreachable, Unanswered) as error:
        yield problem(
            f"AWS cannot be asked, and nothing there was looked at: {error}",
            "set AWS_PROFILE and AWS_REGION or the like",
        )


def main(arguments: Sequence[str]) -> int:
    """Print what is found of the stage that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--local", help="what stage local is made of, see app.py")
    given = parser.parse_args(arguments)
    try:
        stage = stage_named(given.stage, given.local)
    except StageUnknown as error:
        print(error, file=sys.stderr)
        return 1
    findings = []
    for finding in diagnose(stage, this_machine(), AwsAccount.of):
        print(finding.line(), flush=True)
        findings.append(finding)
    return 1 if worst(findings) is Level.PROBLEM else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
