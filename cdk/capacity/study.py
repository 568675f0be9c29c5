"""What is compared: loads, configurations, and the rule by which one is chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from cdk.capacity.lane import Lane
from cdk.capacity.market import Host, Market
from cdk.capacity.outcome import Outcome
from cdk.capacity.scaling import Metric, Policy, Shortfall, Window
from cdk.capacity.workload import Demand, Operation, draw
from cdk.gpu_config import Gpu

#: Nobody should wait longer, seconds; a configuration is good enough if so many do not.
LIMIT_S, SHARE = 180.0, 0.95

#: Times on one L40S (g6e). They are assumptions, see docs/capacity.md: give your own once `GpuPromptSeconds` has them.
OPERATIONS = (
    Operation("camera-angle", share=0.5, mean_s=20, variation=0.15, model=0),
    Operation("qwen-image-edit", share=0.4, mean_s=12, variation=0.35, model=1),
    Operation("comfyui-workflow", share=0.1, mean_s=30, variation=1.0, model=2),
)

HOST = Host("g6e.xlarge")

USUAL = Market()
ROUGH = Market(interruptions_per_h=0.1, shortages_per_day=3, shortage_takes=0.5)

#: What a task keeps a worker busy that takes tasks of all models as they come, seconds.
MEAN_S = sum(each.share * (each.mean_s + HOST.switch_s * (1 - each.share)) for each in OPERATIONS)

#: What runs on other GPUs; their speed is the ratio of the peak throughputs in NVIDIA's data sheets (bfloat16, dense).
HOSTS = (
    HOST,
    Host("g6e.2xlarge"),
    Host("g6.4xlarge", speed=121 / 362),
    Host("g5.4xlarge", speed=125 / 362),
)

_BACKLOGS: tuple[Metric, ...] = ("visible", "backlog")

#: Weight of each hour: a studio in one time zone, and a service for all of them.
_OFFICE = (0, 0, 0, 0, 0, 0, 0.2, 0.6, 2, 5, 6, 6, 4, 5, 6, 6, 5, 4, 2, 1, 0.6, 0.3, 0.1, 0)
_WORLD = (3, 2.5, 2.2, 2, 2, 2.4, 3, 3.6, 4.2, 4.6, 4.8, 4.8, 4.6, 4.8, 5, 5, 5, 5, 5, 4.9, 4.7, 4.4, 4, 3.5)


@dataclass(frozen=True)
class Scenario:
    """A load.

    Args:
        name: of the command line.
        demand: how tasks arrive.
        days: how long, each of them a working day.
        max_spot: of the policies that are tried on it.
        from_hour: of the day at which it begins.
        seeds: runs of which the mean is taken.
    """

    name: str
    demand: Demand
    days: float
    max_spot: int
    from_hour: float = 0.0
    seeds: int = 3


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("small", Demand(300, _OFFICE), days=20, max_spot=6),
        Scenario("studio", Demand(5_000, _OFFICE, campaigns_per_day=1, campaign_share=0.02), days=5, max_spot=24),
        Scenario("platform", Demand(100_000, _OFFICE, campaigns_per_day=1, campaign_share=0.02), days=1, max_spot=300),
        # Six hours of the rise are as hard as the whole day, and take a quarter of its time.
        Scenario("ten-million", Demand(10_000_000, _WORLD), days=0.25, max_spot=5_000, from_hour=5, seeds=1),
    )
}


@dataclass(frozen=True)
class Setting:
    """One line of a table.

    Args:
        label: of the line.
        policy: how the lane scales; how many workers there may be is the scenario's.
        host: what workers run on.
        market: how spot behaves.
        operations: what the tasks are.
    """

    label: str
    policy: Policy
    host: Host = HOST
    market: Market = USUAL
    operations: tuple[Operation, ...] = OPERATIONS


@dataclass(frozen=True)
class Row:
    """What a setting comes to: means over a scenario's runs, the longest wait of all."""

    label: str
    wait_p50_s: float
    wait_p95_s: float
    wait_max_s: float
    within: float
    usd_per_1000: float
    instance_h_per_day: float
    on_demand: float
    utilisation: float
    lost_s: float
    peak: float


def run(scenario: Scenario, setting: Setting, seed: int) -> Outcome:
    """Run a setting under a load once."""
    workload = draw(scenario.demand, setting.operations, days=scenario.days, seed=seed, from_hour=scenario.from_hour)
    policy = replace(setting.policy, max_spot=scenario.max_spot, max_on_demand=scenario.max_spot)
    return Lane(workload, policy, setting.host, setting.market, seed=seed).run()


def measure(scenario: Scenario, setting: Setting) -> Row:
    """Run a setting under a load as often as the load says."""
    runs = [run(scenario, setting, seed) for seed in range(1, scenario.seeds + 1)]
    return Row(
        label=setting.label,
        wait_p50_s=fmean(each.wait(50) for each in runs),
        wait_p95_s=fmean(each.wait(95) for each in runs),
        wait_max_s=max(each.wait(100) for each in runs),
        within=fmean(each.within(LIMIT_S) for each in runs),
        usd_per_1000=1000 * fmean(each.usd_per_image for each in runs),
        instance_h_per_day=fmean(each.instance_h for each in runs) / scenario.days,
        on_demand=fmean(each.on_demand_h / each.instance_h for each in runs),
        utilisation=fmean(each.utilisation for each in runs),
        lost_s=fmean(each.lost_s for each in runs) / scenario.days,
        peak=max(float(each.trace[:, 3].max()) for each in runs),
    )


def pareto(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no other beats in both cost and wait, the cheapest first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.usd_per_1000, row.wait_p95_s)):
        if not best or row.wait_p95_s < best[-1].wait_p95_s:
            best.append(row)
    return best


def choose(rows: Sequence[Row]) -> Row | None:
    """Return the cheapest row in which enough tasks wait for no longer than `LIMIT_S`; None if there is none."""
    good = [row for row in rows if row.within >= SHARE]
    return min(good, key=lambda row: row.usd_per_1000, default=None)


#: The stages' defaults; how many workers there may be is the scenario's.
CHOSEN = Policy.of(Gpu())


def _metrics() -> list[Setting]:
    """Compare three metrics, each with its own numbers."""
    plain = [
        Setting(f"{metric}, {target:.0f} s", replace(CHOSEN, metric=metric, target_backlog_s=target))
        for metric in _BACKLOGS
        for target in (30.0, 60.0, 120.0, 240.0)
    ]
    load = [
        Setting(f"load, {aim:.0%}, {drain_s:.0f} s", replace(CHOSEN, utilisation=aim, drain_s=drain_s))
        for aim in (0.5, 0.6, 0.7, 0.8)
        for drain_s in (120.0, 300.0, 600.0)
    ]
    return [*plain, *load]


def _numbers() -> list[Setting]:
    """Vary what else the chosen one has: cooldowns, how arrivals are counted, the way from zero."""
    cooldowns = [
        Setting(
            f"cooldown {out_s:.0f} s out, {in_s:.0f} s in",
            replace(CHOSEN, scale_out_cooldown_s=out_s, scale_in_cooldown_s=in_s),
        )
        for out_s in (60.0, 300.0, 600.0)
        for in_s in (60.0, 300.0, 900.0)
    ]
    arrivals = [Setting(f"arrivals of {each} min", replace(CHOSEN, arrivals_min=each)) for each in (5, 10, 20, 60)]
    wakes = [Setting(f"wakes after {each} min", replace(CHOSEN, wake_after_min=each)) for each in (2, 3)]
    steps = [Setting(f"wakes one for {each:.0f} s", replace(CHOSEN, wake_step_s=each)) for each in (120.0, 1800.0)]
    return [Setting("chosen", CHOSEN), *cooldowns, *arrivals, *wakes, *steps]


def _windows() -> list[Setting]:
    """Keep workers for people."""
    kept: dict[str, tuple[Window, ...]] = {
        "1 from 9 to 19": (Window(9, 19, 1),),
        "1 from 8 to 20": (Window(8, 20, 1),),
        "2 from 8 to 20": (Window(8, 20, 2),),
        "3 from 8 to 20": (Window(8, 20, 3),),
    }
    windows = [Setting(f"keeps {name}", replace(CHOSEN, warm_windows=each)) for name, each in kept.items()]
    return [Setting("keeps none", CHOSEN), *windows, Setting("keeps 1 always", replace(CHOSEN, min_workers=1))]


def _spot() -> list[Setting]:
    """Let spot fail, and notice it in two ways."""
    markets = {
        "calm": Market(interruptions_per_h=0, shortages_per_day=0, shortage_takes=0),
        "usual": USUAL,
        "rough": ROUGH,
    }
    ways: tuple[tuple[Shortfall, int], ...] = (
        ("instances", 3), ("instances", 5), ("instances", 10), ("workers", 8), ("workers", 12), ("workers", 20),
    )  # fmt: skip
    settings = []
    for name, market in markets.items():
        settings.append(Setting(f"{name}, never on demand", replace(CHOSEN, spot_shortfall_min=10**6), market=market))
        settings += [
            Setting(
                f"{name}, {what} for {after} min",
                replace(CHOSEN, shortfall=what, spot_shortfall_min=after),
                market=market,
            )
            for what, after in ways
        ]
    return settings


def _hosts() -> list[Setting]:
    """Run the lane on one instance type each, and without what changing models costs."""
    hosts = [Setting(host.name, CHOSEN, host=host) for host in HOSTS]
    return [*hosts, Setting(f"{HOST.name}, a lane for each model", CHOSEN, host=replace(HOST, switch_s=0))]


def _assumptions() -> list[Setting]:
    """Vary what nobody has measured yet."""
    slower = [
        Setting(f"tasks take {factor:g} times as long", CHOSEN, operations=_slower(factor))
        for factor in (0.5, 2.0, 4.0)
    ]
    boots = [Setting(f"a host needs {each:.0f} s", CHOSEN, host=replace(HOST, boot_s=each)) for each in (180.0, 600.0)]
    spare = [
        Setting(f"a spare host stays {each:.0f} s", CHOSEN, host=replace(HOST, spare_s=each)) for each in (0.0, 1800.0)
    ]
    return [Setting("chosen", CHOSEN), *slower, *boots, *spare]


def _margin() -> list[Setting]:
    """Plan with more of a worker's time, and let what nobody has measured be worse than assumed."""
    return [
        Setting(f"{aim:.0%}, {name}", replace(CHOSEN, utilisation=aim), host, market, operations)
        for aim in (0.7, 0.8)
        for name, host, market, operations in (
            ("as assumed", HOST, USUAL, OPERATIONS),
            ("tasks take twice as long", HOST, USUAL, _slower(2.0)),
            ("a host needs 600 s", replace(HOST, boot_s=600.0), USUAL, OPERATIONS),
            ("rough spot", HOST, ROUGH, OPERATIONS),
        )
    ]


def _slower(factor: float) -> tuple[Operation, ...]:
    return tuple(replace(each, mean_s=each.mean_s * factor) for each in OPERATIONS)


def _chosen() -> list[Setting]:
    """Run the chosen one alone, for loads that take long."""
    return [Setting("chosen", CHOSEN)]


STUDIES: dict[str, Callable[[], list[Setting]]] = {
    "chosen": _chosen,
    "metrics": _metrics,
    "numbers": _numbers,
    "windows": _windows,
    "spot": _spot,
    "hosts": _hosts,
    "assumptions": _assumptions,
    "margin": _margin,
}
