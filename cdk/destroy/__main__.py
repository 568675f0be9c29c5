"""Deletes a stage, after its name was typed; doing it again goes on where it stopped."""

import argparse
import sys
from collections.abc import Callable, Sequence

from cdk.config import Stage
from cdk.destroy.account import AwsAccount
from cdk.destroy.things import (
    Account,
    NotDestroyed,
    Resource,
    can_be_kept,
    data_of,
    hand_made,
    how_to_delete,
    in_order,
    log_prefixes,
    of_kind,
    tags,
)
from cdk.names import stack_prefix
from cdk.stages import StageUnknown, stage_named

Say = Callable[[str], None]


def destroy(stage: Stage, account: Account, *, confirm: Callable[[str], str], say: Say = print) -> list[str]:
    """Delete a stage; return what is left of it and was not kept on purpose.

    Args:
        stage: to delete.
        account: where it is deployed.
        confirm: is asked for the stage's name.
        say: is told what happens.

    Raises:
        NotDestroyed: the name was not given, or something could not be deleted.
    """
    stacks = in_order(account.stacks(stack_prefix(stage)), stage)
    resources = {stack.name: account.resources(stack) for stack in stacks}
    everything = [resource for each in resources.values() for resource in each]
    say(f"stage {stage.name} in {account.place}: {', '.join(stack.name for stack in stacks) or 'no stack'}")
    say(_about_data(stage))
    if confirm(f"Type {stage.name} to delete it: ") != stage.name:
        raise NotDestroyed(f"the answer was not {stage.name}; nothing was deleted")
    for plan in of_kind(everything, "AWS::ApiGateway::UsagePlan"):
        for key in hand_made(account.plan_keys(plan), everything):
            account.detach_key(key)
            say(f"took {key.name} out of its usage plan: aws apigateway delete-api-key --api-key {key.key} deletes it")
    for stack in stacks:
        _prepare(stage, account, resources[stack.name], say)
        account.delete_stack(stack)
        say(f"deleted {stack.name}")
    for prefix in log_prefixes(stage):
        for name in account.delete_log_groups(prefix):
            say(f"deleted {name}")
    return _left(stage, account, say)


def _prepare(stage: Stage, account: Account, resources: Sequence[Resource], say: Say) -> None:
    """Clear away what would keep a stack from being deleted."""
    # A machine stays until its last execution has ended, which may take hours, and its name is taken until then.
    stopped = sum(
        account.stop_executions(machine) for machine in of_kind(resources, "AWS::StepFunctions::StateMachine")
    )
    if stopped:
        say(f"stopped {stopped} executions")
    account.release_hosts(resources)
    if not stage.keep_data:
        for bucket in of_kind(resources, "AWS::S3::Bucket"):
            say(f"deleted {account.empty_bucket(bucket)} objects of {bucket}")


def _about_data(stage: Stage) -> str:
    if stage.keep_data:
        return "its bucket, its tables and the secret of its webhooks are kept"
    return "its bucket with all results, its tables and its secrets are deleted, too, and cannot be had back"


def _left(stage: Stage, account: Account, say: Say) -> list[str]:
    """Say what is still there, by names and by tags; return what nobody wanted to keep."""
    left = [stack.name for stack in account.stacks(stack_prefix(stage))]
    there = account.roles(stack_prefix(stage))
    for arn in account.tagged(tags(stage)):
        data = data_of(arn)
        if data is None:
            left.append(arn)
        elif account.exists(data):
            there.append(data)
    for resource in there:
        if can_be_kept(resource, stage):
            say(f"kept: {resource.name}; to delete it: {how_to_delete(resource)}")
        else:
            left.append(resource.name)
    say("kept: CDKToolkit and its assets, which other apps of the account use; cdk gc deletes assets that none uses")
    for name in left:
        say(f"left: {name}")
    if left:
        say("AWS lists what was deleted for some more minutes; run it again to see whether this is really left")
    else:
        say("nothing else is left")
    return left


def main(arguments: Sequence[str]) -> int:
    """Delete the stage that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="make destroy", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--local", help="what stage local is made of, see app.py")
    parser.add_argument("--yes", default="", metavar="STAGE", help="its name, for scripts that nobody watches")
    given = parser.parse_args(arguments)
    try:
        stage = stage_named(given.stage, given.local)
        left = destroy(stage, AwsAccount.of(stage), confirm=lambda asked: given.yes or input(asked))
    except (NotDestroyed, StageUnknown) as error:
        print(f"not destroyed: {error}", file=sys.stderr)
        return 1
    except EOFError:
        print("not destroyed: nobody answered; in scripts say YES=<stage>", file=sys.stderr)
        return 1
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
