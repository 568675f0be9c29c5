"""Memory: how much is in use, and giving it back when an object in S3 is written."""

import sys
from types import SimpleNamespace

from sagemaker_models.serving.memory import give_back, memory_in_use
from tests.serving.servers import until

OBJECT = "s3://assets/model-requests/backlot-dev-echo/release"


def write(aws, text: str, uri: str = OBJECT) -> None:
    aws.objects[uri] = (text.encode(), {"Content-Type": "text/plain"})


def released(server) -> int:
    return server.ask().json()["model"]["released"]


def test_object_that_is_written_releases_memory_once_for_each_time(aws, start):
    write(aws, "before the server was there")
    server = start("Echo", env=aws.environment, release_object=OBJECT, release_look_s=0.05).until_ready()
    for count in (1, 2):
        write(aws, f"time {count}")
        until(lambda wanted=count: released(server) == wanted)
    aws.objects.pop(OBJECT)
    write(aws, "time 3")
    until(lambda: released(server) == 3)


def test_release_by_an_object_waits_for_what_runs(aws, start):
    uri = f"{OBJECT}-gated"
    server = start("Gated", env=aws.environment, release_object=uri, release_look_s=0.05).until_ready()
    running = server.ask_later(wishes={"gate": "open"})
    until(lambda: server.entered("open"))
    write(aws, "now", uri)
    server.open_gate("open")
    assert running.result().json()["values"]["released"] == 0
    server.until_logged("memory was released")
    assert released(server) == 1


def test_release_that_is_wanted_while_the_model_loads_comes_afterwards(aws, start, tmp_path):
    uri = f"{OBJECT}-slow"
    server = start("SlowToLoad", env=aws.environment, release_object=uri, release_look_s=0.05)
    until((tmp_path / "loading").exists)
    write(aws, "now", uri)
    (tmp_path / "go").touch()
    server.until_ready().until_logged("memory was released")


def test_storage_that_cannot_be_asked_for_releases_stops_nothing(aws, start):
    server = start("Echo", env=aws.environment, release_object="s3://closed/release", release_look_s=0.05).until_ready()
    server.until_logged("releases cannot be looked for")
    assert released(server) == 0
    assert server.text().count("releases cannot be looked for") == 1


def test_every_answer_says_what_memory_is_in_use(echo):
    for answer in (echo.ask(), echo.ask(wishes={"fail": "caller"}), echo.post({"command": "release"})):
        assert 1_000_000 < answer.json()["model"]["memory"]["rss"] < 10**10


def test_memory_is_the_gpus_once_torch_uses_one(monkeypatch):
    def torch(*, initialized: bool) -> SimpleNamespace:
        cuda = SimpleNamespace(
            is_available=lambda: True,
            is_initialized=lambda: initialized,
            current_device=lambda: 0,
            get_device_properties=lambda _: SimpleNamespace(total_memory=48),
            memory_allocated=lambda _: 30,
            memory_reserved=lambda _: 31,
        )
        return SimpleNamespace(cuda=cuda)

    monkeypatch.setitem(sys.modules, "torch", torch(initialized=False))
    assert set(memory_in_use()) == {"rss"}
    monkeypatch.setitem(sys.modules, "torch", torch(initialized=True))
    assert memory_in_use() == {"total": 48, "allocated": 30, "reserved": 31}


def test_memory_that_is_free_goes_back_to_the_system():
    blocks = [bytearray(b"x") * 100_000 for _ in range(1500)]
    # What lies behind them keeps the C library from giving anything back by itself.
    behind, before = bytearray(b"x") * 100_000, memory_in_use()["rss"]
    del blocks
    give_back()
    assert memory_in_use()["rss"] < before - 100_000_000
    assert len(behind) == 100_000
