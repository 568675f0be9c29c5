"""What the scaling of the GPU lane is told, and how it is measured."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from backlot.aws.autoscaling import Group
from backlot.aws.cloudwatch import GpuLaneMetrics
from backlot.aws.ecs import Services
from backlot.aws.sqs import Queue
from backlot.gpu_load import LaneLoad, Plan, Reading, lane_load, load_percent, workers_needed
from lambdas.measure_gpu_lane import handler as measure_gpu_lane
from lambdas.measure_gpu_lane.settings import Settings
from tests.unit.api import CONTEXT
from tests.unit.aws_answers import answering, heard

NOW_MS = 1_790_000_000_000

PLAN = Plan(utilisation=0.5, drain_s=100, arrivals_min=10)


def seen(**changed) -> Reading:
    return Reading(**{"came": 60, "messages": 12, "mean_s": 10.0, "spot": 4, **changed})


def load(missing: tuple[int, ...] = (0,), **changed) -> LaneLoad:
    return lane_load(seen(**changed), PLAN, missing=missing, shortfall_min=3)


def test_workers_are_needed_for_what_comes_by_the_planned_share_of_their_time():
    # 60 tasks of 10 s in 600 s keep one worker busy, for which two are planned.
    assert workers_needed(seen(messages=0), PLAN) == pytest.approx(2)


def test_busy_workers_are_needed_though_nothing_waits():
    assert workers_needed(seen(messages=4, spot=4), PLAN) == workers_needed(seen(messages=0, spot=4), PLAN)


def test_workers_are_needed_for_what_waits_in_the_time_in_which_it_should_be_done():
    # 8 of 12 tasks have no worker: 80 s of work, to be done within 100 s.
    assert workers_needed(seen(came=0), PLAN) == pytest.approx(0.8)


def test_what_workers_of_both_kinds_have_does_not_wait():
    assert workers_needed(seen(came=0, on_demand=3), PLAN) == pytest.approx(0.5)
    assert workers_needed(seen(came=0, on_demand=30), PLAN) == 0


def test_load_times_the_spot_workers_that_run_is_what_is_needed():
    for spot in (1, 2, 5, 40):
        found = load(spot=spot, on_demand=2)
        assert spot * found.percent / 100 == pytest.approx(found.needed)


@pytest.mark.parametrize(("needed", "percent"), [(0, 0), (0.1, 100), (7.5, 100)])
def test_load_without_a_spot_worker_neither_asks_for_more_nor_gives_up_those_that_boot(needed, percent):
    assert load_percent(needed, spot=0) == percent


def test_backlog_is_the_work_of_all_messages_and_that_for_each_worker():
    found = load(spot=2, on_demand=1)
    assert (found.backlog_s, found.per_worker_s, found.workers) == (120, 40, 3)


def test_backlog_without_a_worker_is_that_of_the_first_and_wakes_it():
    found = load(spot=0)
    assert (found.per_worker_s, found.asleep_s) == (120, 120)


def test_lane_with_a_spot_worker_is_not_woken():
    assert load(spot=1).asleep_s == 0


def test_only_what_on_demand_workers_do_not_have_wakes_spot_workers():
    assert load(spot=0, on_demand=3).asleep_s == 90
    assert load(spot=0, on_demand=12).asleep_s == 0


def test_empty_lane_has_no_load():
    assert load(came=0, messages=0, spot=0) == LaneLoad(0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("missing", "shortfall"),
    [
        ((4, 4, 4), 4),
        ((1, 4, 2), 1),
        ((4, 4, 1), 1),
        ((4, 4, 0), 0),
        ((4, 0, 4), 0),
        ((9, 0, 3, 3, 3), 3),
        ((4, 4), 0),
        ((4,), 0),
    ],
)
def test_shortfall_is_what_was_missing_all_the_time(missing, shortfall):
    found = load(missing)
    assert (found.spot_missing, found.spot_shortfall) == (missing[-1], shortfall)


def counts(visible: int, at_work: int, delayed: int) -> dict:
    return {
        "get_queue_attributes": {
            "Attributes": {
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(at_work),
                "ApproximateNumberOfMessagesDelayed": str(delayed),
            }
        }
    }


def test_messages_at_work_and_put_off_are_counted():
    assert Queue(answering("sqs", counts(3, 2, 1)), "https://sqs/1/gpu_tasks_queue").count() == 6


def service(name: str, desired: int, running: int) -> dict:
    return {"serviceName": name, "desiredCount": desired, "runningCount": running}


def test_running_tasks_come_in_the_order_of_the_services_names():
    client = answering("ecs", {"describe_services": {"services": [service("b", 1, 0), service("a", 4, 2)]}})
    assert Services(client, "cluster").running(["a", "b"]) == [2, 0]


def test_service_that_the_lane_does_not_have_is_not_asked_for():
    client = answering("ecs", {"describe_services": {"services": [service("a", 4, 2)]}})
    calls = heard(client)
    assert Services(client, "cluster").running(["a", ""]) == [2, 0]
    assert calls == [{"cluster": "cluster", "services": ["a"]}]


def test_service_that_does_not_exist_is_an_error():
    with pytest.raises(KeyError, match="a"):
        Services(answering("ecs", {"describe_services": {"services": []}}), "cluster").running(["a"])


def group(desired: int, *states: str) -> dict:
    """Return an Auto Scaling group with an instance in each state."""
    instances = [
        {
            "InstanceId": f"i-{number}",
            "AvailabilityZone": "us-east-1a",
            "LifecycleState": state,
            "HealthStatus": "Healthy",
            "ProtectedFromScaleIn": True,
        }
        for number, state in enumerate(states)
    ]
    described = {
        "AutoScalingGroupName": "hosts",
        "MinSize": 0,
        "MaxSize": 9,
        "DesiredCapacity": desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["us-east-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": datetime.fromtimestamp(NOW_MS / 1000, UTC),
        "Instances": instances,
    }
    return {"describe_auto_scaling_groups": {"AutoScalingGroups": [described]}}


@pytest.mark.parametrize(
    ("desired", "states", "missing"),
    [
        (0, (), 0),
        (3, (), 3),
        (3, ("InService", "Pending"), 2),
        (3, ("InService", "InService", "InService"), 0),
        (1, ("InService", "Terminating"), 0),
        (2, ("InService", "Terminating"), 1),
        (1, ("InService", "InService"), 0),
    ],
)
def test_instances_are_missing_until_they_are_in_service(desired, states, missing):
    client = answering("autoscaling", group(desired, *states))
    calls = heard(client)
    assert Group(client, "hosts").missing() == missing
    assert calls == [{"AutoScalingGroupNames": ["hosts"]}]


def test_group_that_does_not_exist_is_an_error():
    client = answering("autoscaling", {"describe_auto_scaling_groups": {"AutoScalingGroups": []}})
    with pytest.raises(ValueError, match="no Auto Scaling group hosts; deploy"):
        Group(client, "hosts").missing()


def statistics(*points: dict) -> dict:
    end = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    stamped = [{"Timestamp": end - timedelta(minutes=each.pop("ago", 0)), **each} for each in points]
    return {"get_metric_statistics": {"Label": "x", "Datapoints": stamped}}


@pytest.fixture(autouse=True)
def _service(monkeypatch):
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "backlot-dev")


def test_time_of_a_task_is_the_mean_of_the_last_hour_of_this_stage():
    client = answering("cloudwatch", statistics({"Sum": 30.0, "SampleCount": 2.0}, {"Sum": 30.0, "SampleCount": 1.0}))
    calls = heard(client)
    assert GpuLaneMetrics(client).prompt_s(NOW_MS) == 20
    (call,) = calls
    assert call["Dimensions"] == [{"Name": "service", "Value": "backlot-dev"}]
    assert call["EndTime"] - call["StartTime"] == timedelta(hours=1)
    assert (call["Namespace"], call["MetricName"]) == ("Backlot", "GpuPromptSeconds")


def test_time_of_a_task_is_unknown_when_none_was_done():
    assert GpuLaneMetrics(answering("cloudwatch", statistics())).prompt_s(NOW_MS) is None


def test_missing_instances_are_told_by_minutes_the_newest_last():
    points = ({"ago": 1, "Minimum": 3.0}, {"ago": 3, "Minimum": 1.0}, {"ago": 2, "Minimum": 2.0})
    assert GpuLaneMetrics(answering("cloudwatch", statistics(*points))).spot_missing(NOW_MS, 5) == [1, 2, 3]


def test_tasks_that_came_are_the_messages_that_sqs_says_were_sent():
    client = answering("cloudwatch", statistics({"Sum": 30.0}, {"Sum": 12.0}))
    calls = heard(client)
    assert GpuLaneMetrics(client).sent("gpu_tasks_queue", NOW_MS, minutes=20) == 42
    (call,) = calls
    assert (call["Namespace"], call["MetricName"]) == ("AWS/SQS", "NumberOfMessagesSent")
    assert call["Dimensions"] == [{"Name": "QueueName", "Value": "gpu_tasks_queue"}]
    assert (call["EndTime"] - call["StartTime"], call["Period"]) == (timedelta(minutes=20), 1200)


def test_queue_of_which_sqs_says_nothing_got_no_message():
    assert GpuLaneMetrics(answering("cloudwatch", statistics())).sent("gpu_tasks_queue", NOW_MS, minutes=20) == 0


def deps(
    *, services: list[dict], on_demand: str, sent: dict, done: dict, hosts: dict, missing: dict
) -> measure_gpu_lane.Deps:
    settings = Settings(
        QUEUE_URL="https://sqs/1/gpu_tasks_queue",
        CLUSTER="cluster",
        SPOT_SERVICE="comfyui-spot",
        ON_DEMAND_SERVICE=on_demand,
        SPOT_GROUP="hosts",
        DEFAULT_PROMPT_S=30,
        UTILISATION=0.5,
        DRAIN_S=100,
        ARRIVALS_MIN=10,
        SPOT_SHORTFALL_MIN=2,
    )
    return measure_gpu_lane.Deps(
        settings,
        Queue(answering("sqs", counts(5, 1, 0)), settings.queue_url),
        Services(answering("ecs", {"describe_services": {"services": services}}), settings.cluster),
        Group(answering("autoscaling", hosts), settings.spot_group),
        GpuLaneMetrics(answering("cloudwatch", sent, done, missing)),
    )


def measured(monkeypatch, capsys, given: measure_gpu_lane.Deps) -> dict:
    """Return the metrics that a measurement writes under the stage alone."""
    monkeypatch.setattr(measure_gpu_lane, "_deps", lambda: given)
    measure_gpu_lane.handler({}, CONTEXT)
    (line,) = [json.loads(text) for text in capsys.readouterr().out.splitlines() if "_aws" in text]
    directives = line["_aws"]["CloudWatchMetrics"]
    assert all(["service"] in each["Dimensions"] for each in directives)
    assert line["service"] == "backlot-dev"
    return {name: value[0] for name, value in line.items() if name.startswith("Gpu")}


def test_measurement_publishes_the_load(monkeypatch, capsys):
    found = measured(
        monkeypatch,
        capsys,
        deps(
            services=[service("comfyui-spot", 4, 2), service("comfyui-on-demand", 1, 1)],
            on_demand="comfyui-on-demand",
            sent=statistics({"Sum": 60.0}),
            done=statistics({"Sum": 40.0, "SampleCount": 4.0}),
            hosts=group(4, "InService", "InService", "InService"),
            missing=statistics({"ago": 2, "Minimum": 1.0}, {"ago": 1, "Minimum": 2.0}),
        ),
    )
    assert found == {
        "GpuBacklogSeconds": 60,
        "GpuBacklogSecondsPerWorker": 20,
        "GpuBacklogWithoutWorkers": 0,
        # Two for what comes, and for 3 of the 6 tasks 30 s within 100 s.
        "GpuWorkersNeeded": pytest.approx(2.3),
        "GpuLoad": pytest.approx(115),
        "GpuWorkers": 3,
        "GpuSpotMissing": 1,
        "GpuSpotShortfall": 1,
    }


def test_measurement_of_a_lane_that_has_done_nothing_yet_goes_by_the_configured_time(monkeypatch, capsys):
    given = deps(
        services=[service("comfyui-spot", 0, 0)],
        on_demand="",
        sent=statistics(),
        done=statistics(),
        hosts=group(0),
        missing=statistics(),
    )
    found = measured(monkeypatch, capsys, given)
    assert (found["GpuBacklogSeconds"], found["GpuBacklogWithoutWorkers"], found["GpuLoad"]) == (180, 180, 100)
