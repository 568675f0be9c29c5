"""What the simulation is given, and what is made of its results."""

import math

import numpy as np
import pytest

from cdk.capacity.ceilings import Size, ceilings
from cdk.capacity.study import HOSTS, OPERATIONS, SCENARIOS, SHARE, STUDIES, Row, choose, pareto
from cdk.capacity.workload import DAY_S, Demand, Operation, draw, lognormal

FLAT = (1.0,) * 24
ONE = (Operation("camera-angle", share=1, mean_s=20, variation=0.5, model=0),)


def row(label: str, usd: float, p95_s: float, within: float = 1.0) -> Row:
    return Row(label, 0, p95_s, p95_s, within, usd, 1, 0, 0.5, 0, 1)


def test_drawn_tasks_are_as_many_as_the_demand_says():
    tasks = draw(Demand(50_000, FLAT, group=1), ONE, days=2, seed=1)
    assert len(tasks) == pytest.approx(100_000, rel=0.02)
    assert (np.diff(tasks.arrival_s) >= 0).all()
    assert tasks.service_s.mean() == pytest.approx(20, rel=0.02)


def test_drawn_tasks_keep_the_hours_of_the_day():
    profile = tuple(float(hour in {10, 11}) for hour in range(24))
    hours = draw(Demand(10_000, profile), ONE, days=1, seed=1).arrival_s / 3600
    assert hours.min() > 9
    assert hours.max() < 13
    assert np.mean((hours >= 10) & (hours < 12)) > 0.8


def test_drawn_groups_come_at_once_and_are_of_one_operation():
    operations = (Operation("a", 0.5, 10, 0.1, 0), Operation("b", 0.5, 10, 0.1, 1))
    tasks = draw(Demand(20_000, FLAT, group=5), operations, days=1, seed=3)
    moments, sizes = np.unique(tasks.arrival_s, return_counts=True)
    assert sizes.mean() == pytest.approx(5, rel=0.05)
    assert all(len(set(tasks.model[tasks.arrival_s == moment])) == 1 for moment in moments[:200])
    assert np.mean(tasks.model) == pytest.approx(0.5, abs=0.05)


def test_drawn_campaign_is_its_share_of_a_day():
    demand = Demand(10_000, FLAT, group=1, campaigns_per_day=1, campaign_share=0.1)
    tasks = draw(demand, ONE, days=20, seed=5)
    _, sizes = np.unique(tasks.arrival_s, return_counts=True)
    assert set(sizes[sizes > 10]) == {1000}
    assert len(tasks) == pytest.approx(200_000, rel=0.1)


def test_drawing_again_draws_the_same():
    first, again, other = (draw(Demand(1000, FLAT), ONE, days=1, seed=seed) for seed in (7, 7, 8))
    assert (first.arrival_s == again.arrival_s).all()
    assert len(first) != len(other) or (first.arrival_s != other.arrival_s).any()


def test_drawing_may_begin_within_a_day():
    hours = draw(Demand(10_000, FLAT), ONE, days=0.25, seed=1, from_hour=5).arrival_s / 3600
    assert (hours.min() >= 5, hours.max() < 11) == (True, True)
    assert len(hours) == pytest.approx(2500, rel=0.15)


@pytest.mark.parametrize("variation", [0.15, 0.35, 1.0])
def test_lognormal_has_the_mean_and_the_variation(variation):
    drawn = lognormal(np.random.default_rng(1), 20, variation, 200_000)
    assert (drawn.mean(), drawn.std() / drawn.mean()) == (
        pytest.approx(20, rel=0.02),
        pytest.approx(variation, rel=0.05),
    )


def test_pareto_leaves_out_what_is_beaten_in_both():
    rows = [row("dear and slow", 3, 300), row("cheap", 1, 200), row("quick", 2, 100), row("as dear, slower", 2, 150)]
    assert [each.label for each in pareto(rows)] == ["cheap", "quick"]


def test_choice_is_the_cheapest_that_is_good_enough():
    rows = [row("cheap", 1, 900, within=SHARE - 0.01), row("good", 2, 100, within=SHARE), row("best", 3, 10)]
    chosen = choose(rows)
    assert chosen is not None
    assert chosen.label == "good"


def test_nothing_is_chosen_if_nothing_is_good_enough():
    assert choose([row("cheap", 1, 900, within=0.5)]) is None


def test_operations_are_those_of_a_whole_load():
    assert sum(operation.share for operation in OPERATIONS) == pytest.approx(1)
    assert math.isclose(sum(SCENARIOS["studio"].demand.profile), 54.0, rel_tol=0.2)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_hosts_have_prices(host):
    assert 0 < host.usd_per_h < 5


@pytest.mark.parametrize("study", STUDIES)
def test_lines_of_a_study_have_names_of_their_own(study):
    labels = [setting.label for setting in STUDIES[study]()]
    assert len(set(labels)) == len(labels) > 0


def test_ceilings_come_in_the_order_in_which_they_break():
    shares = [each.share for each in ceilings(Size(10_000_000, gpu_s=26))]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == math.inf


def test_ceilings_grow_with_the_load():
    small, large = (ceilings(Size(images, gpu_s=20, utilisation=0.5)) for images in (DAY_S * 10, DAY_S * 100))
    needed = {each.name: each.needed for each in small}
    assert all(each.needed == pytest.approx(10 * needed[each.name], rel=0.01) for each in large)


def test_size_is_that_of_the_busiest_hour():
    size = Size(images_per_day=DAY_S * 10, gpu_s=20, peak=1.5, utilisation=0.6)
    assert (size.images_per_s, size.workers) == (15, 500)


def test_index_has_room_for_a_thousand_gpus_and_not_for_ten_million_images():
    small, large = (
        next(each for each in ceilings(Size(images, gpu_s=26)) if "one partition" in each.name)
        for images in (1_800_000, 10_000_000)
    )
    assert small.share < 1 < large.share


def test_held_reads_keep_functions():
    (plain,), (held,) = (
        [each for each in ceilings(Size(10_000_000, gpu_s=26, held_s=seconds)) if each.name.startswith("Lambda")]
        for seconds in (0, 20)
    )
    assert plain.share < 1 < held.share
