"""What the scaling of the GPU lane is told, and how it is measured."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from backlot.aws.cloudwatch import GpuLaneMetrics
from backlot.aws.ecs import Services
from backlot.aws.sqs import Queue
from backlot.gpu_backlog import Fleet, LaneLoad, lane_load
from lambdas.measure_gpu_lane import handler as measure_gpu_lane
from lambdas.measure_gpu_lane.settings import Settings
from tests.unit.api import CONTEXT
from tests.unit.aws_answers import answering, heard

NOW_MS = 1_790_000_000_000


def load(**changed) -> LaneLoad:
    given = {
        "messages": 12,
        "prompt_s": 10.0,
        "spot": Fleet(4, 4),
        "on_demand": Fleet(),
        "earlier_missing": [],
        "shortfall_min": 3,
    }
    return lane_load(**{**given, **changed})


def test_backlog_is_the_work_of_all_messages_for_each_spot_worker():
    found = load()
    assert (found.backlog_s, found.per_worker_s, found.without_workers_s) == (120, 30, 0)


def test_backlog_without_a_spot_worker_is_that_of_the_first_and_wakes_it():
    found = load(spot=Fleet(3, 0))
    assert (found.per_worker_s, found.without_workers_s) == (120, 120)


def test_on_demand_workers_count_as_workers_and_not_for_the_scaling_of_spot_workers():
    found = load(spot=Fleet(4, 2), on_demand=Fleet(2, 1))
    assert (found.workers, found.per_worker_s) == (3, 60)


def test_empty_queue_is_no_load():
    assert load(messages=0, spot=Fleet()) == LaneLoad(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("missing", "earlier", "shortfall"),
    [
        (4, [4, 4, 4], 4),
        (4, [1, 4, 2], 1),
        (1, [4, 4, 4], 1),
        (4, [4, 4, 0], 0),
        (4, [9, 0, 3, 3, 3], 3),
        (4, [4, 4], 0),
        (4, [], 0),
        (0, [4, 4, 4], 0),
    ],
)
def test_shortfall_is_what_was_missing_all_the_time(missing, earlier, shortfall):
    assert load(spot=Fleet(4, 4 - missing), earlier_missing=earlier).spot_shortfall == shortfall


def test_more_workers_than_are_asked_for_are_none_missing():
    assert load(spot=Fleet(1, 3)).spot_missing == 0


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


def test_fleets_come_in_the_order_of_their_names():
    client = answering("ecs", {"describe_services": {"services": [service("b", 1, 0), service("a", 4, 2)]}})
    assert Services(client, "cluster").fleets(["a", "b"]) == [Fleet(4, 2), Fleet(1, 0)]


def test_service_that_the_lane_does_not_have_is_not_asked_for():
    client = answering("ecs", {"describe_services": {"services": [service("a", 4, 2)]}})
    calls = heard(client)
    assert Services(client, "cluster").fleets(["a", ""]) == [Fleet(4, 2), Fleet()]
    assert calls == [{"cluster": "cluster", "services": ["a"]}]


def test_service_that_does_not_exist_is_an_error():
    with pytest.raises(KeyError, match="a"):
        Services(answering("ecs", {"describe_services": {"services": []}}), "cluster").fleets(["a"])


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


def test_missing_workers_are_told_by_minutes_the_newest_last():
    points = ({"ago": 1, "Minimum": 3.0}, {"ago": 3, "Minimum": 1.0}, {"ago": 2, "Minimum": 2.0})
    assert GpuLaneMetrics(answering("cloudwatch", statistics(*points))).spot_missing(NOW_MS, 5) == [1, 2, 3]


def deps(*, services: list[dict], on_demand: str, done: dict, missing: dict) -> measure_gpu_lane.Deps:
    settings = Settings(
        QUEUE_URL="https://sqs/1/gpu_tasks_queue",
        CLUSTER="cluster",
        SPOT_SERVICE="comfyui-spot",
        ON_DEMAND_SERVICE=on_demand,
        DEFAULT_PROMPT_S=30,
        SPOT_SHORTFALL_MIN=2,
    )
    return measure_gpu_lane.Deps(
        settings,
        Queue(answering("sqs", counts(5, 1, 0)), settings.queue_url),
        Services(answering("ecs", {"describe_services": {"services": services}}), settings.cluster),
        GpuLaneMetrics(answering("cloudwatch", done, missing)),
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
    both = [service("comfyui-spot", 4, 2), service("comfyui-on-demand", 1, 1)]
    found = measured(
        monkeypatch,
        capsys,
        deps(
            services=both,
            on_demand="comfyui-on-demand",
            done=statistics({"Sum": 40.0, "SampleCount": 4.0}),
            missing=statistics({"ago": 2, "Minimum": 1.0}, {"ago": 1, "Minimum": 2.0}),
        ),
    )
    assert found == {
        "GpuBacklogSeconds": 60,
        "GpuBacklogSecondsPerWorker": 30,
        "GpuBacklogWithoutWorkers": 0,
        "GpuWorkers": 3,
        "GpuSpotMissing": 2,
        "GpuSpotShortfall": 1,
    }


def test_measurement_of_a_lane_that_has_done_nothing_yet_goes_by_the_configured_time(monkeypatch, capsys):
    given = deps(services=[service("comfyui-spot", 0, 0)], on_demand="", done=statistics(), missing=statistics())
    found = measured(monkeypatch, capsys, given)
    assert (found["GpuBacklogSeconds"], found["GpuBacklogWithoutWorkers"]) == (180, 180)
