"""Prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.operations import catalogue
from backlot.pricing import AWS_PRICES, PROVIDER_PRICES, aws_cost, charge, price_key


@pytest.mark.parametrize(
    ("model", "unit", "key"),
    [
        ("doubao-seedream-4-0-250828", "image", "seedream-4-0/image"),
        ("seedream-4-5-251128", "image", "seedream-4-5/image"),
        ("dola-seedream-5-0-260101", "image", "seedream-5-0/image"),
        ("dola-seedream-5-0-pro-260101", "image", "seedream-5-0-pro/image"),
        ("qwen3-vl-plus-2025-12-19", "input", "qwen3-vl-plus/input"),
        ("qwen3-vl-plus (stand-in)", "output", "qwen3-vl-plus/output"),
        ("qwen3-vl-plus", "image", "qwen3-vl-plus/image"),
        ("ep-20260101-abc", "image", "ep-20260101-abc/image"),
        ("", "image", "/image"),
    ],
)
def test_price_key_of_a_model_is_the_most_particular_that_fits(model, unit, key):
    assert price_key(model, unit) == key


@pytest.mark.parametrize("item", [*PROVIDER_PRICES, *AWS_PRICES])
def test_charge_of_something_priced_is_quantity_times_price(item):
    price = PROVIDER_PRICES.get(item) or AWS_PRICES[item]
    charged = charge(item, 1000)
    assert (charged.item, charged.quantity, charged.usd) == (item, 1000, pytest.approx(1000 * price.usd))


def test_charge_of_something_unknown_costs_nothing_and_is_seen():
    charged = charge("ep-1/image", 3)
    assert (charged.item, charged.quantity, charged.usd) == ("ep-1/image", 3, 0.0)


@given(st.integers(1, 10**6), st.sampled_from(sorted(PROVIDER_PRICES)))
def test_charge_of_more_is_never_less(quantity, item):
    assert charge(item, quantity).usd <= charge(item, quantity + 1).usd


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_estimate_of_an_operation_has_known_prices_only(operation):
    assert all(item.item in PROVIDER_PRICES and item.usd > 0 for item in operation.estimate())


def test_aws_cost_of_a_one_step_task_is_that_of_its_parts():
    parts = {item.item: item for item in aws_cost(steps=1, transitions=3, worker_gb_seconds=6, image_reads=1)}

    assert parts.keys() <= AWS_PRICES.keys()
    assert parts["states/transition"].usd == pytest.approx(3 * 25e-6)
    assert parts["lambda/request"].quantity == 4
    assert parts["sqs/request"].quantity == 3
    assert sum(part.usd for part in parts.values()) < 0.001
