"""Pictures that are named by an id: for their own key, and for an hour."""

from typing import Any

import pytest

from backlot.aws.known_images import KNOWN_S, MAX_ID_CHARS, KnownImages
from tests.unit.fakes import NOW_MS

NOW_S = NOW_MS // 1000
URL = "s3://assets/uploads/inline/abc.png"


class Table:
    """A table that writes what it is told, and refuses to read what no id can be."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        assert len(key) <= MAX_ID_CHARS + len("image#")
        return self.items.get(key)

    def update(self, key: str, update: str, *, condition: str, values: dict[str, Any]) -> dict[str, Any]:
        names = [part.split(" = ") for part in update.removeprefix("SET ").split(", ")]
        self.items[key] = {name: values[placeholder] for name, placeholder in names}
        return self.items[key]


@pytest.fixture
def known() -> KnownImages:
    return KnownImages(Table())


def test_picture_is_known_to_its_key_for_an_hour(known):
    image_id = known.remember("key-1", URL, now_s=NOW_S)

    assert known.url_of("key-1", image_id, now_s=NOW_S + KNOWN_S - 1) == URL
    assert known.url_of("key-1", image_id, now_s=NOW_S + KNOWN_S) is None


def test_picture_of_another_key_is_unknown(known):
    image_id = known.remember("key-1", URL, now_s=NOW_S)
    assert known.url_of("key-2", image_id, now_s=NOW_S) is None


@pytest.mark.parametrize("image_id", ["", "nobody", "x" * 10_000])
def test_id_that_nobody_has_is_unknown(known, image_id):
    assert known.url_of("key-1", image_id, now_s=NOW_S) is None


def test_same_picture_gets_a_new_id_each_time(known):
    assert len({known.remember("key-1", URL, now_s=NOW_S) for _ in range(3)}) == 3
