"""What models say of themselves: noted seldom, by whoever hears of it."""

from decimal import Decimal
from typing import Any

import pytest

from backlot.aws.dynamodb import Refused
from backlot.aws.model_states import EVERY_MS, ModelState, ModelStates
from tests.unit.fakes import NOW_MS

SAID = {"engine": "qwen-edit", "device": "cuda"}


class OneTable:
    """A table that counts its writes, and refuses one whose item is younger than the condition allows."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.writes = 0

    def get(self, key: str) -> dict[str, Any] | None:
        return self.items.get(key)

    def update(self, key: str, update: str, *, condition: str, values: dict[str, Any]) -> dict[str, Any] | Refused:
        assert condition == "attribute_not_exists(id) OR at_ms <= :before"
        self.writes += 1
        known = self.items.get(key)
        if known and known["at_ms"] > values[":before"]:
            return Refused(known)
        names = [part.split(" = ") for part in update.removeprefix("SET ").split(", ")]
        self.items[key] = {name: values[placeholder] for name, placeholder in names}
        self.items[key]["at_ms"] = Decimal(self.items[key]["at_ms"])
        return self.items[key]


LOCATION = "s3://assets/model-results/backlot-dev-qwen-edit/abc.out"
ENDPOINTS = {"qwen-edit": "backlot-dev-qwen-edit"}


def test_model_is_noted_once_a_minute_whoever_hears_of_it(clock):
    table = OneTable()
    first, second = (ModelStates(table, ENDPOINTS, clock) for _ in range(2))
    assert first.of("qwen-edit") is None

    first.note(LOCATION, {"output": {"model": SAID}})
    clock.advance(seconds=EVERY_MS / 1000 - 1)
    for states in (first, second):
        states.note(LOCATION, {"output": {"model": {"device": "cpu"}}})
    assert second.of("qwen-edit") == ModelState(SAID, NOW_MS)
    # The first remembers itself that it wrote a short time ago.
    assert table.writes == 2

    clock.advance(seconds=1)
    first.note(LOCATION, {"output": {"model": {"device": "cpu"}}})
    assert first.of("qwen-edit") == ModelState({"device": "cpu"}, NOW_MS + EVERY_MS)


@pytest.mark.parametrize(
    ("location", "answer"),
    [
        (None, {"failure": {"reason": "it broke"}}),
        (LOCATION, None),
        (LOCATION, {"failure": {"reason": "it broke"}}),
        (LOCATION, {"output": {"values": {}}}),
        (LOCATION, {"output": {"model": "qwen"}}),
        ("s3://assets/model-results/backlot-dev-other/abc.out", {"output": {"model": SAID}}),
        ("s3://assets/elsewhere/abc.out", {"output": {"model": SAID}}),
    ],
)
def test_answer_that_says_nothing_of_a_model_of_ours_is_not_noted(clock, location, answer):
    table = OneTable()
    ModelStates(table, ENDPOINTS, clock).note(location, answer)
    assert table.writes == 0
