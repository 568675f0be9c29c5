"""The scaling that the simulation follows: what AWS documents of target tracking, steps and cooldowns."""

from dataclasses import replace

import pytest

from cdk.capacity.scaling import ENOUGH_MIN, LOW_MIN, OnDemandScaling, Policy, Reading, SpotScaling, Window, measured

POLICY = Policy(max_spot=50, metric="backlog", target_backlog_s=100, scale_out_cooldown_s=300, scale_in_cooldown_s=300)


def backlog(ratio: float, desired: int) -> Reading:
    """Return a minute in which the metric is so many times its target."""
    return Reading(visible=round(ratio * desired * 10), in_flight=0, running=desired, came=0, mean_s=10)


def minutes(scaling: SpotScaling, ratios: list[float], from_min: int = 0) -> list[int]:
    """Return what is wanted after each minute."""
    return [
        scaling.decide(60 * minute, backlog(ratio, scaling.desired))
        for minute, ratio in enumerate(ratios, start=from_min)
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
    assert minutes(scaling, [0, 0]) == [0, 0]
    waiting = Reading(visible=1, in_flight=0, running=0, came=1, mean_s=10)
    assert [scaling.decide(60 * minute, waiting) for minute in (2, 3, 4)] == [0, 0, 1]


@pytest.mark.parametrize(("visible", "workers"), [(1, 1), (60, 1), (61, 2), (600, 10), (6000, 50)])
def test_more_work_wakes_more_workers_up_to_the_most(visible, workers):
    scaling = SpotScaling(replace(POLICY, wake_step_s=600))
    assert scaling.decide(0, Reading(visible, in_flight=0, running=0, came=visible, mean_s=10)) == workers


def test_most_and_least_are_kept():
    scaling = SpotScaling(replace(POLICY, max_spot=5, min_workers=2), desired=4)
    assert minutes(scaling, [9, 9, 9]) == [4, 4, 5]
    assert minutes(scaling, [0] * 60, from_min=3)[-1] == 2


def test_window_keeps_its_workers_for_its_hours():
    scaling = SpotScaling(replace(POLICY, warm_windows=(Window(9, 10, 3),)))
    hours = [8.99, 9, 9.99, 33]
    assert [scaling.policy.at_least(3600 * hour) for hour in hours] == [0, 3, 3, 3]
    nothing = Reading(visible=0, in_flight=0, running=0, came=0, mean_s=10)
    wanted = {hour: scaling.decide(3600 * hour, nothing) for hour in [8.5 + minute / 60 for minute in range(180)]}
    assert [wanted[8.5], wanted[9.0], wanted[8.5 + 179 / 60]] == [0, 3, 0]


def test_metric_of_waiting_work_does_not_see_that_all_are_busy():
    busy = Reading(visible=0, in_flight=10, running=10, came=1800, mean_s=10)
    assert measured(replace(POLICY, metric="visible"), busy, desired=10) == 0
    assert measured(replace(POLICY, metric="backlog"), busy, desired=10) == pytest.approx(0.1)
    load = replace(POLICY, metric="load", utilisation=1.0, arrivals_min=30)
    assert measured(load, busy, desired=10) == pytest.approx(1)


def test_load_adds_workers_for_what_waits():
    load = replace(POLICY, metric="load", utilisation=0.5, arrivals_min=10, drain_s=100)
    seen = Reading(visible=20, in_flight=10, running=10, came=60, mean_s=10)
    # One worker's work comes, for which two are planned, and 200 s of work wait, for which two more are.
    assert measured(load, seen, desired=4) == pytest.approx(1)


def test_on_demand_comes_when_spot_is_missing_for_long_enough():
    scaling = OnDemandScaling(replace(POLICY, max_on_demand=2, spot_shortfall_min=5))
    assert [scaling.decide(3) for _ in range(5)] == [0, 0, 0, 0, 2]


def test_on_demand_goes_some_minutes_after_spot_is_back():
    scaling = OnDemandScaling(replace(POLICY, max_on_demand=2, spot_shortfall_min=1), desired=2)
    assert [scaling.decide(0) for _ in range(ENOUGH_MIN)] == [2] * (ENOUGH_MIN - 1) + [0]
