"""Waiting for jobs, and the pictures of faces that they need."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from backlot.aws.s3 import Bucket
from backlot.errors import FaceForgotten, ImageNotFetched, Unexpected
from backlot.image_urls import ImageUrlPolicy
from backlot.steps import JobPolicy, webhook_address
from backlot.steps._portraits import PortraitInput
from backlot.steps._step import Stopwatch
from backlot.steps.make_portrait import make_portrait

POLICY = JobPolicy(webhook_address(lambda: "https://us.example"), first_look_ms=15_000, limit_ms=900_000)


@pytest.mark.parametrize(
    ("age_s", "pause_s"), [(0, 15), (15, 15), (15.1, 15.1), (60, 60), (120, 120), (121, 120), (9000, 120)]
)
def test_job_is_looked_at_as_seldom_as_it_is_old(age_s, pause_s):
    assert POLICY.pause_ms(round(age_s * 1000)) == round(pause_s * 1000)


def portrait_run(stored: bytes | None) -> SimpleNamespace:
    """Return a run whose bucket has a face or not, and whose provider is never reached."""

    def get(key: str, max_bytes: int) -> bytes:
        if stored is None:
            raise ImageNotFetched(reason=f"there is no object {key}")
        return stored

    deps = SimpleNamespace(
        models={"make-portrait": "a/b"}, images=ImageUrlPolicy(bucket="assets"), objects=SimpleNamespace(get=get)
    )
    return SimpleNamespace(deps=deps, watch=Stopwatch(), job=lambda _, submit: submit("https://us.example/w"))


def order(face_url: str) -> PortraitInput:
    return PortraitInput(face_url=face_url, master_prompt="", negative_prompt="", mode="speed", fidelity_weight=0.85)


def test_face_that_was_deleted_is_said_to_be_gone_before_anything_is_bought():
    with pytest.raises(FaceForgotten):
        make_portrait(order("s3://assets/faces/x.jpg"), portrait_run(None))


@pytest.mark.parametrize("url", ["s3://assets/uploads/x.jpg", "s3://other/faces/x.jpg", "https://example.com/x.jpg"])
def test_face_is_read_from_the_folder_of_faces_only(url):
    with pytest.raises(Unexpected):
        make_portrait(order(url), portrait_run(b"x"))


class Objects:
    """A bucket of two pages."""

    def __init__(self, **written_s: int) -> None:
        self._written_s = written_s
        self.deleted: list[str] = []

    def get_paginator(self, name: str) -> "Objects":
        assert name == "list_objects_v2"
        return self

    def paginate(self, **asked: str) -> list[dict]:
        assert asked == {"Bucket": "assets", "Prefix": "faces/"}
        listed = [
            {"Key": key, "LastModified": datetime.fromtimestamp(seconds, UTC)}
            for key, seconds in self._written_s.items()
        ]
        return [{"Contents": listed[:1]}, {"Contents": listed[1:]}, {}]

    def delete_objects(self, **asked: object) -> None:
        self.deleted += [each["Key"] for each in asked["Delete"]["Objects"]]


def test_only_objects_of_before_are_deleted():
    objects = Objects(old=99, just=100, older=1, new=101)
    assert Bucket(objects, "assets").delete_older("faces/", 100) == 2
    assert objects.deleted == ["old", "older"]


def test_nothing_is_asked_to_be_deleted_where_nothing_is_old():
    objects = Objects(new=101)
    assert Bucket(objects, "assets").delete_older("faces/", 100) == 0
    assert objects.deleted == []
