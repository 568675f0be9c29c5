"""What the API tells of the machines behind it, and how they are told to give back their memory."""

import pytest
from botocore.exceptions import EndpointConnectionError

from backlot.aws.model_fleet import FleetState
from backlot.aws.model_states import ModelState
from tests.unit.fakes import NOW_MS

SAID = {
    "engine": "qwen-edit",
    "device": "cuda",
    "device_name": "NVIDIA H200",
    "memory": {"total": 150, "allocated": 60, "reserved": 70},
}


def test_ping_and_root_are_answered_to_everybody(api):
    assert api.get("/ping", key_id=None).json() == {"status": "healthy"}
    for path in ("/api", "/api/"):
        assert api.get(path, key_id=None).json() == {"message": "ArtMancer API is running", "version": "2.1.0"}


def test_health_tells_the_device_and_the_memory_of_a_hot_model(api):
    api.model_states.kept["qwen-edit"] = ModelState(SAID, NOW_MS - 299_000)
    assert api.get("/api/health", key_id=None).json() == {
        "status": "healthy",
        "model_loaded": True,
        "device": "cuda",
        "device_info": {
            "device": "cuda",
            "cuda_available": True,
            "mps_available": False,
            "xpu_available": False,
            "state": "hot",
            "device_name": "NVIDIA H200",
            "memory_total": 150,
            "memory_allocated": 60,
            "memory_reserved": 70,
            "last_activity_seconds_ago": 299,
        },
        "state": "hot",
    }


@pytest.mark.parametrize(
    ("instances", "age_ms", "state", "loaded"),
    [(1, 300_000, "warm", True), (1, None, "warm", True), (0, 1000, "cold", False), (0, None, "cold", False)],
)
def test_health_tells_how_warm_the_model_is(api, instances, age_ms, state, loaded):
    api.fleet = FleetState(True, instances=instances)
    if age_ms is not None:
        api.model_states.kept["qwen-edit"] = ModelState(SAID, NOW_MS - age_ms)
    health = api.get("/api/health").json()
    assert (health["state"], health["model_loaded"]) == (state, loaded)
    assert health["device"] == ("unknown" if age_ms is None else "cuda")
    # Nobody holds memory who is not there.
    assert ("memory_total" in health["device_info"]) == (loaded and age_ms is not None)


@pytest.mark.parametrize("in_service", [True, False])
def test_health_of_the_system_names_each_service(api, in_service):
    api.fleet = FleetState(in_service, instances=0)
    health = api.get("/api/system/health", key_id=None).json()
    assert health["status"] == ("healthy" if in_service else "degraded")
    assert {name: each["service"] for name, each in health["services"].items()} == {
        "job_manager": "qwen-edit",
        "segmentation": "segment",
        "image_utils": "segment",
    }


def test_clear_cache_tells_workers_and_every_model(api):
    assert api.post("/api/clear-cache", None).json() == {"success": True, "message": "Cache cleared"}
    assert api.gpus.cleared_ms == NOW_MS
    released = {f"model-requests/backlot-dev-{model}/release" for model in ("schp", "segment", "qwen-edit")}
    assert set(api.objects.kept) == released


def test_clear_cache_that_cannot_be_told_says_so(api, monkeypatch):
    def fail(*_, **__):
        raise EndpointConnectionError(endpoint_url="https://s3.example")

    monkeypatch.setattr(api.objects, "put", fail)
    answer = api.post("/api/clear-cache", None)
    assert (answer.status, answer.json()["success"]) == (200, False)


def test_clear_cache_needs_a_key(api):
    assert api.post("/api/clear-cache", None, key_id=None).status == 403
    assert api.objects.kept == {}
