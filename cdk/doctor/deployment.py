"""Checks of what a deployment itself needs: programs, credentials, the CDK's bootstrap, stacks and names."""

from collections.abc import Iterator

from cdk.checkpoints import Checkpoints
from cdk.config import Stage
from cdk.doctor.findings import Finding, ok, problem, warning
from cdk.doctor.lane import GpuLane
from cdk.doctor.port import Account, Machine
from cdk.names import bucket_name, idempotency_name, stack_prefix, task_store_name

#: What the templates ask of the bootstrap stack.
BOOTSTRAP_VERSION = 6

#: What the README asks for.
NODE = 20


def programs(stage: Stage, machine: Machine, lane: GpuLane) -> Iterator[Finding]:
    """Look for what `make deploy` runs."""
    if machine.node is None:
        yield problem("there is no Node.js", f"install version {NODE} or later", "nodejs.org")
    elif int(machine.node.split(".")[0]) < NODE:
        yield problem(f"Node.js is {machine.node}", f"install version {NODE} or later", "nodejs.org")
    else:
        yield ok(f"Node.js {machine.node}")
    if not machine.cdk:
        yield problem("the CDK's command is not installed", "install it", "make setup")
    hosted = sorted(Checkpoints.read().of(stage)) + ([] if lane.unpublished else ["the GPU lane"])
    if not hosted:
        yield ok("no image has to be built, so that Docker is not needed")
    elif machine.docker:
        yield ok("Docker answers")
    else:
        yield problem(f"Docker does not answer, and {', '.join(hosted)} need an image", "start it", "docker info")


def credentials(stage: Stage, account: Account) -> Iterator[Finding]:
    """Hold the credentials against the stage."""
    whose = f"account {account.number}, region {account.region}"
    if stage.account not in {None, account.number}:
        yield problem(f"the credentials are of {whose}; stage {stage.name} is in account {stage.account}", "use others")
    elif stage.region not in {None, account.region}:
        yield problem(f"the credentials are of {whose}; stage {stage.name} is in {stage.region}", "set AWS_REGION")
    else:
        yield ok(f"the credentials are of {whose}")


def bootstrap(_: Stage, account: Account) -> Iterator[Finding]:
    """Look at the CDK's bootstrap stack."""
    found, where = account.bootstrap_version(), "CloudFormation console: CDKToolkit"
    if found is None:
        yield warning("the account is not bootstrapped for the CDK here", "make deploy does it", where)
    elif found < BOOTSTRAP_VERSION:
        yield warning(
            f"the bootstrap has version {found}, {BOOTSTRAP_VERSION} is needed", "make deploy renews it", where
        )
    else:
        yield ok(f"bootstrap version {found}")


def stacks(stage: Stage, account: Account) -> Iterator[Finding]:
    """Look for stacks in a state from which CloudFormation deploys nothing."""
    found = account.stacks(stack_prefix(stage))
    stuck = {name: status for name, status in found.items() if not status.endswith("_COMPLETE")}
    stuck |= {name: status for name, status in found.items() if status == "ROLLBACK_COMPLETE"}
    for name, status in stuck.items():
        if status.endswith("_IN_PROGRESS"):
            yield warning(f"{name} is {status}", "wait until it is done", "CloudFormation console")
        elif status == "UPDATE_ROLLBACK_FAILED":
            yield problem(f"{name} is {status}", f"aws cloudformation continue-update-rollback --stack-name {name}")
        else:
            yield problem(f"{name} is {status}", f"aws cloudformation delete-stack --stack-name {name}")
    if not found:
        yield ok(f"stage {stage.name} is not deployed yet")
    elif not stuck:
        yield ok(f"{len(found)} stacks stand")


def names(stage: Stage, account: Account) -> Iterator[Finding]:
    """Look for data of an earlier deployment, whose names a first one could not have again."""
    if stack_prefix(stage) + "storage" in account.stacks(stack_prefix(stage)):
        return
    bucket = bucket_name(stage, account.number, account.region)
    taken = [bucket] if account.has_bucket(bucket) else []
    taken += [name for name in (task_store_name(stage), idempotency_name(stage)) if account.has_table(name)]
    if taken:
        yield problem(
            f"there is no stack, but data of an earlier one: {', '.join(taken)}",
            "import it into the stack, or delete it",
            f"cdk import {stack_prefix(stage)}storage, or docs/operating.md, Delete a stage",
        )
    else:
        yield ok("the names of the bucket and the tables are free")


def settings(stage: Stage) -> Iterator[Finding]:
    """Look for what is still as it came."""
    where = f"stage {stage.name} in cdk/config.py"
    examples = [origin for origin in stage.cors_origins if origin.rstrip("/").endswith("example.com")]
    if examples:
        yield warning(f"cors_origins are still the example's: {', '.join(examples)}", "name the pages of yours", where)
    else:
        yield ok(f"pages at {', '.join(stage.cors_origins)} may call the API")
    if stage.alarms.email is None:
        yield warning("alarms ring for nobody", "set alarms.email, or subscribe to the topic by hand", where)
