"""Our own models' servers in trouble: a second try or a clear error, nothing is lost, and the next job is served.

And, after the trouble of memory that is short, the way to have it given back.
"""

import pytest

from local.models import STAND_INS, await_model_server, model_server, start_model_server
from local.processes import NotStarted
from tests.stack.waiting import until

#: A model that is quick to ask, and the operation that asks it.
MODEL, OPERATION = "schp", "body-masks"


def ask(studio, picture: str, *faults: dict) -> str:
    """Submit a job whose runs by the model go wrong."""
    studio.fault(f"model-{MODEL}", *faults)
    return studio.submit(OPERATION, {"image_url": picture})


def next_is_served(studio, picture: str) -> bool:
    return studio.do(OPERATION, {"image_url": picture})["status"] == "completed"


def ended(studio, task_id: str) -> list[str]:
    return [run["status"] for run in studio.invocations(task_id)]


def test_killed_server_has_its_job_run_again_and_takes_the_next(studio, astronaut):
    task_id = ask(studio, astronaut, {"kind": "death"})
    waiting = studio.submit(OPERATION, {"image_url": astronaut})
    until(lambda: not model_server(studio.place, MODEL).is_running, "the server's death")
    start_model_server(studio.place, MODEL)
    tasks = [studio.finish(each) for each in (task_id, waiting)]

    assert [task["status"] for task in tasks] == ["completed", "completed"]
    assert [run["attempts"] >= 2 for run in studio.invocations(task_id)] == [True]
    assert ended(studio, waiting) == ["completed"]


@pytest.mark.parametrize(
    ("times", "asked"), [(1, ["completed"]), (2, ["failed", "completed"])], ids=["server", "machine"]
)
def test_model_out_of_memory_is_tried_again(studio, astronaut, fast_clock, times, asked):
    """Alone by its server at first, then by the state machine."""
    task = studio.finish(ask(studio, astronaut, {"kind": "oom", "times": times}))

    assert (task["status"], task["error_detail"]) == ("completed", None)
    assert ended(studio, task["task_id"]) == asked
    assert studio.calls()[f"model-{MODEL}"] == times + 1


def test_model_that_never_has_the_memory_says_so_and_the_next_job_is_served(studio, astronaut, fast_clock):
    task = studio.finish(ask(studio, astronaut, {"kind": "oom", "times": 10}))

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "MODEL_UNAVAILABLE")
    assert "memory is short" in task["error_message"]
    assert ended(studio, task["task_id"]) == ["failed"] * 5
    assert next_is_served(studio, astronaut)


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"kind": "exception"}, "MODEL_FAILED", "RuntimeError: made to fail"),
        (
            {"kind": "error", "code": "CheckpointRefused", "message": "the LoRA would change nothing"},
            "CHECKPOINT_REFUSED",
            "the LoRA would change nothing",
        ),
        (
            {"kind": "error", "code": "OutputInvalid", "message": "12 of 3072 values are no numbers"},
            "OUTPUT_INVALID",
            "12 of 3072 values are no numbers",
        ),
    ],
    ids=["raises", "wrong LoRA", "NaN"],
)
def test_model_that_cannot_do_a_job_says_why_once_and_does_the_next(studio, astronaut, fault, code, words):
    task = studio.finish(ask(studio, astronaut, fault))

    assert (task["status"], task["error_detail"]["code"]) == ("failed", code)
    assert words in task["error_message"]
    assert ended(studio, task["task_id"]) in (["failed"], ["completed"])
    assert next_is_served(studio, astronaut)


def test_server_with_a_corrupt_checkpoint_says_why_and_jobs_wait_for_a_good_one(
    studio, astronaut, tmp_path, monkeypatch
):
    (tmp_path / "exp-schp-201908301523-atr.pth").write_bytes(b"cut off")
    with monkeypatch.context() as shell:
        shell.setenv("SCHP_WEIGHTS", str(tmp_path))
        start_model_server(studio.place, MODEL)
        task_id = ask(studio, astronaut)
        with pytest.raises(NotStarted, match="cannot load its model") as refused:
            await_model_server(studio.place, MODEL)
    assert "cannot be read as a checkpoint" in str(refused.value)
    assert studio.read(task_id)["status"] in ("pending", "processing")
    start_model_server(studio.place, MODEL)

    assert studio.finish(task_id)["status"] == "completed"
    assert len(studio.invocations(task_id)) == 1


def test_cleared_cache_lets_every_model_forget_what_it_keeps(studio, astronaut):
    logs = [model_server(studio.place, name).log for name in STAND_INS]

    def releases() -> list[int]:
        return [log.read_text().count("memory was released") for log in logs]

    def embedding() -> str:
        task = studio.do("smart-mask", {"image_url": astronaut, "points": [[260, 410]]})
        return task["result"]["steps"][-1]["detail"]["embedding"]

    embedding()
    assert embedding() == "kept"
    before = releases()
    assert studio.http.post("/api/clear-cache").json() == {"success": True, "message": "Cache cleared"}
    until(lambda: all(now > then for now, then in zip(releases(), before, strict=True)), "a release by every server")
    assert embedding() == "made"
    assert embedding() == "kept"
