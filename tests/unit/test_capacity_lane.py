"""The simulated lane: against queueing theory, and that it loses nothing and does nothing twice."""

import heapq
import math
from dataclasses import replace

import numpy as np
import pytest

from cdk.capacity.lane import Lane
from cdk.capacity.market import Host, Market
from cdk.capacity.scaling import Policy, Window
from cdk.capacity.study import CHOSEN
from cdk.capacity.workload import Workload, lognormal

CALM = Market(interruptions_per_h=0, shortages_per_day=0, shortage_takes=0)
AT_ONCE = Host("g6e.xlarge", boot_s=0, start_s=0, switch_s=0)
SLOW = Host("g6e.xlarge", boot_s=300, boot_variation=0, start_s=40, switch_s=15)
ALWAYS_SHORT = Market(interruptions_per_h=0, shortages_per_day=1e6, shortage_s=1e9, shortage_takes=0)


def policy_of(**changed) -> Policy:
    """Return the chosen policy, without on-demand workers, changed."""
    return replace(CHOSEN, **{"max_on_demand": 0, **changed})


def fixed(workers: int) -> Policy:
    return policy_of(max_spot=workers, min_workers=workers)


def workload(*tasks: tuple[float, float], model: int = 0) -> Workload:
    """Return tasks, each of its arrival and its time on the GPU, seconds."""
    arrivals, services = zip(*tasks, strict=True)
    return Workload(np.array(arrivals, float), np.array(services, float), np.full(len(tasks), model, np.int16))


def poisson(count: int, rate: float, services: np.ndarray, seed: int) -> Workload:
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return Workload(np.cumsum(gaps), services, np.zeros(count, np.int16))


def run(tasks: Workload, policy: Policy, host: Host = AT_ONCE, market: Market = CALM, seed: int = 1):
    return Lane(tasks, policy, host, market, seed=seed).run()


def erlang_c(servers: int, load: float) -> float:
    """Return the chance to wait in M/M/c, for an offered load in Erlang."""
    terms = [load**n / math.factorial(n) for n in range(servers)]
    all_busy = load**servers / math.factorial(servers) / (1 - load / servers)
    return all_busy / (sum(terms) + all_busy)


def first_come_first_served(tasks: Workload, servers: int) -> list[float]:
    """Return what each task waits for, by the recursion of Kiefer and Wolfowitz."""
    free, waits = [0.0] * servers, []
    for arrival_s, service_s in zip(tasks.arrival_s.tolist(), tasks.service_s.tolist(), strict=True):
        begins_s = max(arrival_s, heapq.heappop(free))
        waits.append(begins_s - arrival_s)
        heapq.heappush(free, begins_s + service_s)
    return waits


@pytest.mark.parametrize("servers", [1, 3, 10])
def test_tasks_of_a_fixed_fleet_wait_as_first_come_first_served_says(servers):
    services = lognormal(np.random.default_rng(1), 10, 1.0, 5000)
    tasks = poisson(5000, 0.09 * servers, services, seed=2)
    waits = run(tasks, fixed(servers)).wait_s
    assert waits.tolist() == pytest.approx(first_come_first_served(tasks, servers))
    assert waits.max() > 30


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (2, 0.6), (4, 0.7)])
def test_mean_wait_of_a_fixed_fleet_is_that_of_m_m_c(servers, busy):
    count, mean_s = 60_000, 10.0
    services = np.random.default_rng(11).exponential(mean_s, count)
    waits = run(poisson(count, servers * busy / mean_s, services, seed=12), fixed(servers)).wait_s
    chance = erlang_c(servers, servers * busy)
    assert waits.mean() == pytest.approx(chance * mean_s / (servers * (1 - busy)), rel=0.1)
    assert np.mean(waits > 0) == pytest.approx(chance, rel=0.04)


def test_wait_for_one_worker_with_lognormal_times_is_that_of_pollaczek_and_khinchine():
    count, mean_s, variation, busy = 100_000, 10.0, 1.0, 0.7
    services = lognormal(np.random.default_rng(21), mean_s, variation, count)
    waits = run(poisson(count, busy / mean_s, services, seed=22), fixed(1)).wait_s
    expected_s = busy * mean_s * (1 + variation**2) / (2 * (1 - busy))
    assert waits.mean() == pytest.approx(expected_s, rel=0.06)


def test_every_task_is_done_once_whatever_spot_does():
    services = lognormal(np.random.default_rng(31), 200, 1.0, 2000)
    rough = Market(interruptions_per_h=3, shortages_per_day=20, shortage_s=900, shortage_takes=0.5)
    policy = policy_of(max_spot=20, max_on_demand=5)
    done = run(poisson(2000, 0.05, services, seed=32), policy, replace(SLOW, switch_s=0), rough)
    assert (done.times_done == 1).all()
    assert (done.wait_s >= 0).all()
    assert done.work_s == pytest.approx(services.sum())
    assert done.lost_s > 0
    assert done.on_demand_h > 0
    assert done.work_s + done.lost_s <= 3600 * done.instance_h


def test_no_more_workers_than_the_most_are_started():
    services = np.full(2000, 60.0)
    done = run(poisson(2000, 1.0, services, seed=33), policy_of(max_spot=20), SLOW)
    assert done.trace[:, 3].max() == 20


def test_same_seed_gives_the_same_run_and_another_one_another():
    services = lognormal(np.random.default_rng(41), 60, 0.5, 300)
    tasks, policy, rough = poisson(300, 0.02, services, seed=42), policy_of(max_spot=5, max_on_demand=5), Market()
    first, again, other = (run(tasks, policy, Host("g6e.xlarge"), rough, seed=seed) for seed in (1, 1, 2))
    assert (first.wait_s == again.wait_s).all()
    assert first.usd == again.usd
    assert first.usd != other.usd


def test_scaling_from_zero_takes_the_alarm_and_the_boot():
    # The minutes begin at 600 s: the task is seen at 630 s, the worker is asked for at 660 s.
    assert run(workload((610, 20)), policy_of(max_spot=1), SLOW).wait_s.tolist() == [660 + 300 - 610]


def test_each_further_minute_of_the_alarm_is_waited_for():
    policy = policy_of(max_spot=1, wake_after_min=3)
    assert run(workload((610, 20)), policy, SLOW).wait_s.tolist() == [780 + 300 - 610]


def test_worker_of_a_window_is_there_at_once():
    policy = policy_of(max_spot=1, warm_windows=(Window(0, 24, 1),))
    assert run(workload((10, 20), (1000, 20)), policy, SLOW).wait_s.tolist() == pytest.approx([290, 0])


def test_other_model_is_loaded_before_the_task():
    tasks = Workload(np.array([0.0, 0.0, 0.0]), np.array([10.0, 10.0, 10.0]), np.array([0, 1, 1], np.int16))
    done = run(tasks, fixed(1), replace(SLOW, boot_s=0))
    assert done.wait_s.tolist() == [0, 10, 35]
    assert done.work_s == 45


def test_faster_host_needs_less_time():
    assert run(workload((0, 30), (0, 30)), fixed(1), replace(AT_ONCE, speed=3)).wait_s.tolist() == [0, 10]


def test_busy_worker_is_not_scaled_in():
    # Nothing waits for two hours, so that nobody is wanted after the first quarter of an hour.
    policy = policy_of(max_spot=1, metric="visible")
    done = run(workload((0, 7200)), policy, SLOW)
    assert done.times_done.tolist() == [1]
    assert done.lost_s == 0


def test_spare_host_is_used_again_and_sooner():
    policy = policy_of(max_spot=1, metric="visible", scale_in_cooldown_s=0)
    done = run(workload((0, 10), (2400, 10)), policy, replace(SLOW, spare_s=3600))
    # Seen at 2430 s, asked for at 2460 s, on a host that still has the models.
    assert done.wait_s.tolist()[1] == 60 + SLOW.start_s
    assert done.instance_h == pytest.approx((2460 + 40 + 10 - 60) / 3600)


def test_spare_host_is_given_back_after_its_time():
    policy = policy_of(max_spot=1, metric="visible", scale_in_cooldown_s=0)
    done = run(workload((0, 10), (7200, 10)), policy, replace(SLOW, spare_s=600))
    assert done.wait_s.tolist()[1] == 60 + SLOW.boot_s
    # Asked for at 60 s, idle from 370 s on, not wanted from 1260 s on, spare for 600 s; and the second one, which ends
    # with its task.
    assert 3600 * done.instance_h == pytest.approx((1860 - 60) + (300 + 10))


def test_task_that_fits_into_the_notice_is_finished():
    often = Market(interruptions_per_h=10, shortages_per_day=0, shortage_takes=0)
    tasks = workload(*((20.0 * number, 20.0) for number in range(500)))
    done = run(tasks, fixed(3), SLOW, often)
    assert (done.times_done == 1).all()
    assert done.lost_s == 0


def test_longer_task_is_given_back_and_done_again():
    often = Market(interruptions_per_h=6, shortages_per_day=0, shortage_takes=0)
    done = run(workload(*((60.0 * number, 300.0) for number in range(200))), fixed(8), SLOW, often)
    assert (done.times_done == 1).all()
    assert done.lost_s > 110
    assert done.work_s == 200 * 300


def test_on_demand_takes_over_when_there_is_no_spot():
    policy = policy_of(max_spot=1, max_on_demand=1, spot_shortfall_min=5)
    done = run(workload((610, 20)), policy, SLOW, ALWAYS_SHORT)
    # Wanted at 660 s; missing in the minutes seen from 690 s to 930 s; asked for at 960 s.
    assert done.wait_s.tolist() == [960 + 300 - 610]
    assert (done.spot_h, done.on_demand_h) == (0, pytest.approx(320 / 3600))
    assert done.usd == pytest.approx(AT_ONCE.usd_per_h * 320 / 3600)


def test_counting_workers_takes_booting_ones_for_missing():
    tasks = workload((0, 20), (30, 20))
    shortfalls = {
        what: policy_of(max_spot=1, max_on_demand=1, spot_shortfall_min=3, shortfall=what)
        for what in ("instances", "workers")
    }
    hours = {what: run(tasks, policy, SLOW).on_demand_h for what, policy in shortfalls.items()}
    assert hours["instances"] == 0
    assert hours["workers"] > 0


def test_spot_costs_its_share():
    spot = run(workload((0, 3600)), fixed(1), AT_ONCE, replace(CALM, price_share=0.4))
    assert spot.usd == pytest.approx(0.4 * AT_ONCE.usd_per_h)
    assert spot.usd_per_image == spot.usd
    assert spot.utilisation == pytest.approx(1)
