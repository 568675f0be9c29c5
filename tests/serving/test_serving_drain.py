"""SIGTERM: nothing new is taken, what runs is finished, and the exit code says whether it was."""

from tests.serving.servers import until


def test_sigterm_finishes_what_runs_and_takes_nothing_new(start):
    server = start("Gated", max_concurrent=1, max_queue=1).until_ready()
    running = server.ask_later(wishes={"gate": "open"})
    until(lambda: server.entered("open"))
    waiting = server.ask_later()
    server.until_full()
    server.terminate()
    until(lambda: server.ping() == (503, {"status": "draining", "reason": "the server is ending"}))
    refused = server.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "Draining")
    server.open_gate("open")
    assert [each.result().status_code for each in (running, waiting)] == [200, 200]
    assert server.exit_code() == 0


def test_sigterm_of_an_idle_server_ends_it(start):
    server = start("Echo").until_ready()
    server.terminate()
    assert server.exit_code() == 0


def test_sigterm_while_the_model_is_loaded_ends_it(start):
    server = start("SlowToLoad")
    until(lambda: server.ping()[0] == 503)
    server.terminate()
    assert server.exit_code() == 0


def test_sigterm_cuts_off_what_does_not_end_in_time(start):
    server = start("Gated", drain_s=0.2).until_ready()
    server.ask_later(wishes={"gate": "never"})
    until(lambda: server.entered("never"))
    server.terminate()
    assert server.exit_code() == 1
    assert server.until_logged("requests were cut off")["in_flight"] == 1
