"""The ASL files: what neither CDK nor the emulator checks."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from backlot import errors
from backlot.comfyui import RUN_WORKFLOW
from backlot.operations import Lane, catalogue
from backlot.steps import WorkItem, step_named
from backlot.tasks import Status
from cdk.definitions import FOLDER, WORKFLOW, definition, file_of, is_work

FILES = sorted(FOLDER.glob("*.asl.json"))

#: Names that AWS gives errors: of Step Functions itself, and of the services that our states call.
AWS_ERRORS = {
    "States.ALL",
    "States.TaskFailed",
    "SQS.SdkClientException",
    "SQS.AmazonSQSException",
    "DynamoDB.ConditionalCheckFailedException",
}

#: Steps after the result is there: what goes wrong with them is noted, and the task is completed all the same. Their
#: errors, and when they are tried again, are their own.
AFTERWARDS = {"DeliverMasks": {"MasksNotDelivered"}}

#: Ends the name of a second state of a step, behind which no other step comes: one choice decides for both.
ALONE = "Alone"

#: Literals of `status` that a machine may write or ask for.
STATUS_LITERALS = {f":{status.value}": status.value for status in Status}


@pytest.fixture(params=catalogue().values(), ids=lambda operation: operation.name)
def machine(request) -> dict[str, Any]:
    return definition(request.param)


def tasks(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in machine["States"].items() if state["Type"] == "Task"}


def work(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in tasks(machine).items() if is_work(state)}


def targets(state: dict[str, Any]) -> Iterator[str]:
    for clause in [state, *state.get("Catch", []), *state.get("Choices", [])]:
        if "Next" in clause:
            yield clause["Next"]
    if "Default" in state:
        yield state["Default"]


def test_files_match_the_catalogue():
    names = {file_of(operation) for operation in catalogue().values()} | {"deliver_webhook"}
    assert [path.name for path in FILES] == sorted(f"{name}.asl.json" for name in names)


def test_operation_of_the_gpu_lane_needs_no_file_and_any_other_does():
    files = {operation.lane: file_of(replace(operation, name="not-yet-there")) for operation in catalogue().values()}
    assert files == {Lane.PAID: "not_yet_there", Lane.MODEL: "not_yet_there", Lane.GPU: WORKFLOW}


def test_operation_of_the_gpu_lane_with_a_file_of_its_own_has_that():
    assert file_of(replace(catalogue()["face-mask"], lane=Lane.GPU)) == "face_mask"


def test_workflows_are_given_the_whole_request(machine):
    inputs = [state["Arguments"]["MessageBody"]["input"] for state in work(machine).values()]
    is_gpu = all(state["Arguments"]["QueueUrl"] == "${GpuTasksQueueUrl}" for state in work(machine).values())
    assert (inputs == ["{% $states.input.request %}"]) is is_gpu


def test_machine_keys_stand_in_the_house_order(machine):
    assert list(machine) == ["Comment", "QueryLanguage", "StartAt", "TimeoutSeconds", "States"]
    assert machine["QueryLanguage"] == "JSONata"
    assert isinstance(machine["TimeoutSeconds"], int)


def test_every_state_exists_and_is_reached(machine):
    reached, waiting = set(), [machine["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += targets(machine["States"][name])

    assert reached == set(machine["States"])


def test_every_state_goes_on_or_ends(machine):
    for name, state in machine["States"].items():
        ends = state["Type"] in ("Succeed", "Fail") or state.get("End") is True
        assert ends != bool(list(targets({**state, "Catch": []}))), name


def test_every_state_is_a_verb_and_a_noun(machine):
    assert all(re.fullmatch(r"([A-Z][a-z]+){2,}", name) for name in machine["States"])


def test_every_task_has_a_literal_time_limit_below_the_machines(machine):
    for name, state in tasks(machine).items():
        assert type(state["TimeoutSeconds"]) is int, name
        assert state["TimeoutSeconds"] < machine["TimeoutSeconds"], name


def test_every_retry_is_limited_and_has_jitter(machine):
    for name, state in tasks(machine).items():
        for retry in state["Retry"]:
            if retry.get("MaxAttempts") != 0:
                assert {"MaxAttempts", "MaxDelaySeconds", "IntervalSeconds", "BackoffRate"} <= set(retry), name
                # A service of the studio's own is called at the pauses that it knows.
                own = set(retry["ErrorEquals"]) <= AFTERWARDS.get(name, set())
                assert retry["JitterStrategy"] == ("NONE" if own else "FULL"), name


def test_every_task_but_the_last_is_caught_with_its_input(machine):
    for name, state in tasks(machine).items():
        caught = state["Catch"][-1]
        assert caught["ErrorEquals"] == ["States.ALL"], name
        assert "$states.input" in caught["Output"], name
        failure = {"RecordFailure": "TaskFailed"} | dict.fromkeys(AFTERWARDS, "RecordCompletion")
        assert caught["Next"] == failure.get(name, "RecordFailure"), name


def test_every_error_that_is_matched_exists(machine):
    ours = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    for name, state in tasks(machine).items():
        matched = {error for clause in [*state["Retry"], *state["Catch"]] for error in clause["ErrorEquals"]}
        assert matched <= ours | AWS_ERRORS, name


def test_work_retries_all_transient_errors_of_ours_and_no_other(machine):
    transient = {kind.__name__ for kind in errors.TransientError.__subclasses__()}
    for name, state in work(machine).items():
        retried = {error for retry in state["Retry"] for error in retry["ErrorEquals"]}
        elsewhere = set().union(*AFTERWARDS.values())
        assert retried - AWS_ERRORS == AFTERWARDS.get(name, transient - elsewhere), name


def test_delivery_is_tried_again_after_1_2_4_8_and_16_seconds():
    (retry, *_) = definition(catalogue()["body-masks"])["States"]["DeliverMasks"]["Retry"]
    pauses = [retry["IntervalSeconds"] * retry["BackoffRate"] ** number for number in range(retry["MaxAttempts"])]
    assert pauses == [1, 2, 4, 8, 16]
    assert retry["MaxDelaySeconds"] == max(pauses)


def test_every_message_of_a_queue_with_an_order_has_a_group_and_a_name(machine):
    for name, state in work(machine).items():
        arguments = state["Arguments"]
        is_ordered = arguments["QueueUrl"] == "${ModelTasksQueueUrl}"
        assert {"MessageGroupId", "MessageDeduplicationId"} & set(arguments) == (
            {"MessageGroupId", "MessageDeduplicationId"} if is_ordered else set()
        ), name
        # A retry of the state, and of the task, is another message.
        words = arguments.get("MessageDeduplicationId", "Execution.Name State.RetryCount")
        assert "Execution.Name" in words, name
        assert "State.RetryCount" in words, name


@pytest.mark.parametrize("name", ["smart-mask", "remove-background"])
def test_nobodys_click_waits_for_anothers(name):
    groups = [state["Arguments"].get("MessageGroupId") for state in work(definition(catalogue()[name])).values()]
    assert groups[-1] == "{% $states.input.task_id %}"


def test_work_items_have_the_fields_of_their_model(machine):
    for name, state in work(machine).items():
        body = state["Arguments"]["MessageBody"]
        assert set(body) == {name for name, field in WorkItem.model_fields.items() if field.is_required()}, name
        if body["step"] != RUN_WORKFLOW:
            assert set(body["input"]) == set(step_named(body["step"]).input.model_fields), name
        assert "State.RetryCount" in body["attempt"], name
        assert "Execution.Name" in body["attempt"], name


def test_work_states_are_named_like_their_steps(machine):
    for name, state in work(machine).items():
        step = state["Arguments"]["MessageBody"]["step"]
        assert name.removesuffix(ALONE) == step.title().replace("-", "")


def test_states_of_one_step_ask_for_the_same_and_go_on_differently(machine):
    states = work(machine)
    for name in (name for name in states if name.endswith(ALONE)):
        twin, alone = states[name.removesuffix(ALONE)], states[name]
        renamed = json.loads(json.dumps(alone).replace(name, name.removesuffix(ALONE)))
        assert renamed | {"Next": twin["Next"]} == twin
        assert alone["Next"] != twin["Next"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.split(".")[0])
def test_files_say_only_what_is_the_operations_own(path):
    shared = json.loads((FOLDER / "_shared.json").read_text())
    own = json.loads(path.read_text())
    assert not own["States"].keys() & shared["States"].keys()
    for name, state in work(own).items():
        allowed = {"TimeoutSeconds", "Output"} | ({"Retry", "Catch"} if name in AFTERWARDS else set())
        assert not state.keys() & (shared["Work"].keys() - allowed), name
        assert set(state["Arguments"]["MessageBody"]) == {"step", "input"}, name


def test_expressions_fill_their_whole_string(machine):
    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from strings(inner)

    for text in strings(machine):
        if "{%" in text or "%}" in text:
            assert re.fullmatch(r"\{% .+ %\}", text), text


def test_records_are_written_to_open_tasks_only(machine):
    for name in ("RecordCompletion", "RecordFailure"):
        arguments = machine["States"][name]["Arguments"]
        assert arguments["ConditionExpression"] == "#status IN (:pending, :processing)"
        literals = {
            key: value["S"] for key, value in arguments["ExpressionAttributeValues"].items() if key in STATUS_LITERALS
        }
        assert literals.items() <= STATUS_LITERALS.items()


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_transitions_of_the_happy_path_are_as_the_catalogue_says(operation):
    machine = definition(operation)

    def longest(name: str) -> int:
        state = machine["States"][name]
        ahead = [longest(target) for target in targets({**state, "Catch": []})]
        return 1 + max(ahead, default=0)

    assert longest(machine["StartAt"]) + 1 == operation.transitions
    if len(operation.steps) == 1:
        assert operation.transitions <= 4


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_steps_of_the_catalogue_are_those_of_the_machine(operation):
    machine = definition(operation)
    steps = [state["Arguments"]["MessageBody"]["step"] for state in work(machine).values()]
    assert tuple(dict.fromkeys(steps)) == operation.steps
