"""The scaling that the simulation follows: what AWS documents of target tracking, steps and cooldowns."""

from dataclasses import replace

import pytest

from backlot.gpu_load import Reading
from cdk.capacity.scaling import LOW_MIN, Minute, OnDemandScaling, Policy, SpotScaling, Window, asked_for
from cdk.capacity.study import CHOSEN, STUDIES
from cdk.config import PROD
from cdk.gpu_steps import ENOUGH_MIN, step_of, steps

POLICY = replace(CHOSEN, max_spot=50, metric="backlog", target_backlog_s=100)


def minute(messages: int, running: int, *, came: int = 0, visible: int = 0) -> Minute:
    """Return what is seen of tasks of 10 s each."""
    return Minute(Reading(came=came, messages=messages, mean_s=10, spot=running), visible=visible)


def minutes(scaling: SpotScaling, ratios: list[float], from_min: int = 0) -> list[int]:
    """Return what is wanted after each minute in which the metric is so many times its target and all workers run."""
    return [
        scaling.decide(60 * number, minute(round(ratio * scaling.desired * 10), scaling.desired))
        for number, ratio in enumerate(ratios, start=from_min)
    ]


def test_third_minute_above_the_target_adds_in_proportion():
    assert minutes(SpotScaling(POLICY, desired=4), [1.5, 1.5, 1.5]) == [4, 4, 6]


def test_minute_at_the_target_begins_the_count_again():
    assert minutes(SpotScaling(POLICY, desired=4), [1.5, 1.5, 1.0, 1.5, 1.5]) == [4] * 5


def test_fifteenth_minute_below_takes_away_in_proportion():
    wanted = minutes(SpotScaling(POLICY, desired=10), [0.5] * LOW_MIN)
    assert wanted == [10] * (LOW_MIN - 1) + [5]


def test_little_below_the_target_is_left_alone():
    assert minutes(SpotScaling(POLICY, desired=10), [0.9] * 60) == [10] * 60


def test_what_was_just_added_counts_until_the_cooldown_ends():
    scaling = SpotScaling(POLICY, desired=2)
    assert minutes(scaling, [2, 2, 2, 2, 2, 2]) == [2, 2, 4, 4, 4, 4]
    # Only what 2 workers would need beyond the 4 is added meanwhile.
    assert minutes(scaling, [3], from_min=6) == [6]
    assert minutes(scaling, [2], from_min=7) == [12]


def test_steps_inwards_keep_their_distance():
    scaling = SpotScaling(POLICY, desired=40)
    wanted = minutes(scaling, [0.5] * (LOW_MIN + 6))
    assert wanted == [40] * (LOW_MIN - 1) + [20] * 5 + [10] * 2


def test_step_outwards_does_not_wait_for_the_cooldown_of_one_inwards():
    scaling = SpotScaling(POLICY, desired=40)
    minutes(scaling, [0.5] * LOW_MIN)
    assert minutes(scaling, [2, 2, 2], from_min=LOW_MIN) == [20, 20, 40]


def test_first_worker_is_wanted_after_the_minutes_that_the_policy_says():
    scaling = SpotScaling(replace(POLICY, wake_after_min=3))
    waits = [minute(messages, running=0) for messages in (0, 1, 1, 0, 1, 1, 1)]
    assert [scaling.decide(60 * number, seen) for number, seen in enumerate(waits)] == [0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("messages", "workers"), [(1, 1), (59, 1), (60, 2), (600, 10), (1140, 20), (6000, 50)])
def test_more_work_wakes_more_workers_up_to_the_most(messages, workers):
    scaling = SpotScaling(replace(POLICY, wake_step_s=600))
    assert scaling.decide(0, minute(messages, running=0)) == workers


def test_more_are_woken_while_the_first_are_on_their_way_and_none_is_given_up():
    scaling = SpotScaling(replace(POLICY, wake_step_s=600))
    waits = [minute(messages, running=0) for messages in (1, 200, *[1] * 60)]
    wanted = [scaling.decide(60 * number, seen) for number, seen in enumerate(waits)]
    assert (wanted[0], set(wanted[1:])) == (1, {4})


def test_workers_that_never_came_are_given_up_when_nothing_is_left_to_do():
    scaling = SpotScaling(POLICY, desired=3)
    assert [scaling.decide(60 * number, minute(0, running=0)) for number in range(LOW_MIN)] == [3] * 14 + [0]


def test_aws_multiplies_the_workers_that_run_so_that_those_that_boot_are_asked_for_once():
    scaling = SpotScaling(POLICY, desired=2)
    wanted = [scaling.decide(60 * number, minute(80, running=2)) for number in range(20)]
    assert wanted == [2, 2] + [8] * 18


def test_work_that_on_demand_workers_have_wakes_nobody():
    scaling = SpotScaling(POLICY)
    busy = Minute(Reading(came=0, messages=2, mean_s=10, spot=0, on_demand=2), visible=0)
    assert [scaling.decide(60 * number, busy) for number in range(5)] == [0] * 5


def test_most_and_least_are_kept():
    scaling = SpotScaling(replace(POLICY, max_spot=5, min_workers=2), desired=4)
    assert minutes(scaling, [9, 9, 9]) == [4, 4, 5]
    assert minutes(scaling, [0] * 60, from_min=3)[-1] == 2


def test_window_keeps_its_workers_for_its_hours():
    scaling = SpotScaling(replace(POLICY, warm_windows=(Window(9, 10, 3),)))
    hours = [8.99, 9, 9.99, 33]
    assert [scaling.policy.at_least(3600 * hour) for hour in hours] == [0, 3, 3, 3]
    nothing = {hour: minute(0, running=3 if 9 <= hour < 10 else 0) for hour in [8.5 + n / 60 for n in range(180)]}
    wanted = {hour: scaling.decide(3600 * hour, seen) for hour, seen in nothing.items()}
    assert [wanted[8.5], wanted[9.0], wanted[8.5 + 179 / 60]] == [0, 3, 0]


def test_metric_of_waiting_work_does_not_see_that_all_are_busy():
    busy = minute(10, running=10, came=1800)
    assert asked_for(replace(POLICY, metric="visible"), busy) == 0
    assert asked_for(replace(POLICY, metric="backlog"), busy) == pytest.approx(1)
    load = replace(POLICY, metric="load", utilisation=1.0, arrivals_min=30)
    assert asked_for(load, busy) == pytest.approx(10)


def test_chosen_policy_is_the_stages_and_what_they_do():
    assert (CHOSEN.metric, CHOSEN.shortfall) == ("load", "instances")
    stage = Policy.of(PROD.gpu)
    assert replace(stage, warm_windows=()) == replace(CHOSEN, max_spot=stage.max_spot)
    windows = {setting.label: setting.policy.warm_windows for setting in STUDIES["windows"]()}
    assert stage.warm_windows == windows["keeps 1 from 8 to 20"]


def test_every_step_is_taken_from_where_it_begins():
    assert steps(3, width=600) == [(1, 0), (2, 600), (3, 1200)]
    for most in (0, 1, 9, 10, 11, 45, 1000):
        counts = [count for count, _ in steps(most, width=2.5)]
        assert counts == sorted(set(counts))
        assert (counts[-1], len(counts) <= 20) == (most, True)
        assert [step_of(begin, most, width=2.5) for _, begin in steps(most, width=2.5)] == counts
    assert (step_of(599.9, 3, width=600), step_of(10**9, 3, width=600)) == (1, 3)


def test_on_demand_comes_when_spot_is_missing_for_long_enough():
    scaling = OnDemandScaling(replace(POLICY, max_on_demand=2, spot_shortfall_min=5))
    assert [scaling.decide(3) for _ in range(5)] == [0, 0, 0, 0, 2]


def test_on_demand_workers_are_as_many_as_were_missing_all_the_time():
    scaling = OnDemandScaling(replace(POLICY, max_on_demand=9, spot_shortfall_min=3))
    assert [scaling.decide(missing) for missing in (4, 2, 5, 5, 5, 1)] == [0, 0, 2, 2, 5, 1]


def test_on_demand_goes_some_minutes_after_spot_is_back():
    scaling = OnDemandScaling(replace(POLICY, max_on_demand=2, spot_shortfall_min=1), desired=2)
    assert [scaling.decide(0) for _ in range(ENOUGH_MIN)] == [2] * (ENOUGH_MIN - 1) + [0]


def test_lane_without_on_demand_workers_asks_for_none():
    scaling = OnDemandScaling(replace(POLICY, max_on_demand=0, spot_shortfall_min=1))
    assert [scaling.decide(3) for _ in range(3)] == [0] * 3
