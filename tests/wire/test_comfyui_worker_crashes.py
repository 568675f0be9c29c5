"""The worker of the GPU lane when ComfyUI, AWS or the worker itself is lost in the middle."""

import asyncio
import shlex
import sys
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from botocore.exceptions import EndpointConnectionError

from backlot.clock import now_ms
from backlot.steps import Holder
from backlot.tasks import Status
from containers.comfyui.worker.host import TaskProtection
from containers.comfyui.worker.readiness import served
from tests.wire.gpu_lane import EDIT, PATIENCE_S, ComfyuiServer, Site, in_loop, inverted, site, until

SLOW = {"step_s": 0.05}

NO_NETWORK = EndpointConnectionError(endpoint_url="https://aws.example")


def fails(place: Site, port: str, method: str, *errors: Exception) -> None:
    """Let the next calls of a port fail, one with each error."""
    target = getattr(place, port)
    call, waiting = getattr(target, method), list(errors)

    def failing(*arguments: Any, **named: Any) -> Any:
        if waiting:
            raise waiting.pop(0)
        return call(*arguments, **named)

    setattr(target, method, failing)


def turns(place: Site) -> list[int]:
    """Return the turns of the messages that are in the queue."""
    return [int(kept.body.partition('"turn":')[2].partition(",")[0]) for kept in place.queue.kept.values()]


@in_loop
async def test_comfyui_that_dies_with_a_graph_runs_it_again(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        first = place.submit("qwen-image-edit", EDIT | {"steps": 50})
        second = place.submit("comfyui-workflow", inverted())
        await place.at_work(first)
        await place.comfyui.hasten()
        await place.comfyui.stop()
        await until(lambda: not place.worker.condition().jobs)
        assert not place.worker.condition().is_ready
        assert [kept.receives for kept in place.queue.kept.values()] == [0, 0]
        await place.comfyui.start()
        assert (await place.answer(first))[0] == "done"
        assert (await place.answer(second))[0] == "done"
        await place.is_settled()
    assert place.queue.dead == []


@in_loop
async def test_graph_that_kills_comfyui_each_time_is_given_up(tmp_path):
    async with site(tmp_path) as place:
        task_id = place.submit("qwen-image-edit", EDIT)
        await place.comfyui.fault("comfyui-run", {"kind": "restart", "times": 3})
        kind, message = await place.answer(task_id)
        state = await place.comfyui.state()
        await place.is_settled()
    assert (kind, message) == ("ComfyuiCrashed", "ComfyUI died 3 times while it ran the workflow")
    assert [prompt["status"] for prompt in state["prompts"]] == ["lost"] * 3


@in_loop
async def test_comfyui_of_ours_is_started_and_started_again(tmp_path, unused_port):
    program = "-m local.stand_ins.comfyui --step-seconds 0.05"
    command = f"{sys.executable} {program} --port {unused_port} --folder {shlex.quote(str(tmp_path))}"
    async with site(tmp_path, comfyui_command=command, comfyui_url=f"http://127.0.0.1:{unused_port}") as place:
        first = place.submit("qwen-image-edit", EDIT | {"steps": 40})
        await place.at_work(first)
        place.worker._deps.comfyui._process._process.kill()
        second = place.submit("comfyui-workflow", inverted())
        assert (await place.answer(second))[0] == "done"
        assert (await place.answer(first))[0] == "done"


@in_loop
async def test_prompts_that_a_killed_worker_left_behind_are_withdrawn(tmp_path):
    server = ComfyuiServer(tmp_path, step_s=0.05)
    await server.start()
    await server.fault("comfyui-run", {"kind": "hang", "wait_s": PATIENCE_S})
    for client_id in ("backlot-killed-1", "backlot-killed-1", "a person"):
        await server.post(client_id)
    async with aiohttp.ClientSession() as http:
        place = Site(server, http)
        place.start_worker()
        async with asyncio.timeout(PATIENCE_S):
            while len((await server.state())["deletes"]) < 2:
                await asyncio.sleep(0.02)
        # The one that runs is in its last node and does not hear of it any more.
        await server.hasten()
        await place.has_run("success", "success")
        place.worker.end("a test")
        await place.running
    state = await server.state()
    assert state["interrupts"] == state["deletes"]
    assert len(state["deletes"]) == 2
    assert [prompt["client_id"] for prompt in state["prompts"]] == ["backlot-killed-1", "a person"]
    await server.stop()


@pytest.mark.parametrize(
    ("port", "method"),
    [("ledger", "claim"), ("ledger", "done"), ("tokens", "succeed"), ("tasks", "start"), ("objects", "upload")],
)
@in_loop
async def test_work_goes_on_after_a_call_of_aws_has_failed(tmp_path, port, method, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.delivery.FIRST_RETRY_S", 0)
    async with site(tmp_path) as place:
        fails(place, port, method, NO_NETWORK)
        task_id = place.submit("comfyui-workflow", inverted())
        assert (await place.answer(task_id))[0] == "done"
        await place.is_settled()
        runs = len((await place.comfyui.state())["prompts"])
    assert runs == (2 if method in ("done", "upload") else 1)
    assert len(place.objects.kept) == 1


@in_loop
async def test_message_that_was_not_deleted_repeats_the_answer_only(tmp_path):
    async with site(tmp_path) as place:
        task_id = place.submit("comfyui-workflow", inverted())
        _, output = await place.answer(task_id)
        await place.is_settled()
        place.tasks.kept[task_id] = place.tasks.kept[task_id].model_copy(update={"status": Status.PROCESSING})
        place.queue.put(place.item(task_id).model_copy(update={"task_token": f"{task_id}/1"}).model_dump_json())
        assert await place.answer(task_id, 1) == ("done", output)
        assert len((await place.comfyui.state())["prompts"]) == 1


@in_loop
async def test_error_is_repeated_for_the_same_attempt(tmp_path):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui-run", {"kind": "exception"})
        task_id = place.submit("comfyui-workflow", inverted())
        error = await place.answer(task_id)
        await place.is_settled()
        again = place.item(task_id)
        place.queue.put(again.model_copy(update={"task_token": f"{task_id}/7"}).model_dump_json())
        assert await place.answer(task_id, 7) == error
        place.queue.put(place.item(task_id, attempt=8).model_dump_json())
        assert (await place.answer(task_id, 8))[0] == "done"


@in_loop
async def test_message_that_is_delivered_twice_is_worked_on_once(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 20})
        await place.at_work(task_id)
        first = set(place.queue.kept)
        place.queue.put(place.item(task_id).model_dump_json(), delay_s=0.05)
        second = set(place.queue.kept) - first
        # It waits for the first one's lease under a new message, whose receives are not counted yet.
        await until(lambda: len(place.queue.kept) == 2 and not second & set(place.queue.kept))
        await place.answer(task_id)
        await until(lambda: len(place.queue.kept) == 1 and not place.worker.condition().jobs)
        (copy,) = place.queue.kept.values()
        assert copy.receives == 0
        copy.visible_s = 0
        await place.is_settled()
        assert len((await place.comfyui.state())["prompts"]) == 1


@in_loop
async def test_lease_outlasts_a_job_that_is_longer(tmp_path):
    async with site(tmp_path, speed=SLOW, lease_s=3) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 90})
        await place.at_work(task_id)
        (message,) = place.queue.kept.values()
        assert (await place.answer(task_id))[0] == "done"
        assert message.receives == 1
        assert len((await place.comfyui.state())["prompts"]) == 1


@in_loop
async def test_worker_that_lost_its_lease_stops_and_says_nothing(tmp_path):
    async with site(tmp_path, speed=SLOW, lease_s=3) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 90})
        await place.at_work(task_id)
        place.ledger.records[task_id, "run-workflow"].until_ms = 0
        place.ledger.claim(
            Holder(task_id, "run-workflow", f"{task_id}/0", 0, "another"), now_ms=now_ms(), lease_ms=60_000
        )
        await until(lambda: not place.worker.condition().jobs)
        await place.has_run("interrupted")
    assert place.tokens.answers == {}
    assert place.objects.kept == {}
    assert len(place.queue.kept) == 1


@in_loop
async def test_message_of_an_earlier_turn_is_dropped(tmp_path):
    async with site(tmp_path) as place:
        task_id = place.submit("comfyui-workflow", inverted())
        later = place.item(task_id).model_copy(update={"turn": 1})
        holder = Holder(task_id, "run-workflow", later.attempt, 0, "another")
        place.ledger.claim(holder, now_ms=now_ms(), lease_ms=60_000)
        place.ledger.put_off(holder, slot_ms=0, item=later)
        await place.is_settled()
        assert place.tokens.answers == {}
        place.queue.put(later.model_dump_json())
        assert (await place.answer(task_id))[0] == "done"


@in_loop
async def test_message_that_nobody_can_read_becomes_a_dead_letter(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.delivery.FIRST_RETRY_S", 0)
    async with site(tmp_path) as place:
        place.queue.put('{"cancelled_task_id": "1", "operation": "camera-angle"}')
        await until(lambda: len(place.queue.dead) == 1)


@in_loop
async def test_end_finishes_what_runs_and_gives_the_rest_back(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        tasks = [place.submit("qwen-image-edit", EDIT | {"seed": seed, "steps": 20}) for seed in range(3)]
        await place.at_work(tasks[0])
        await until(lambda: len(place.worker.condition().jobs) == 2)
        place.worker.end("a test")
        assert not place.worker.condition().is_ready
        await place.running
        assert (await place.answer(tasks[0]))[0] == "done"
        assert set(place.tokens.answers) == {f"{tasks[0]}/0"}
        assert sorted(turns(place)) == [0, 1]
        assert [kept.receives for kept in place.queue.kept.values()] == [0, 0]
        await place.comfyui.hasten()
        place.start_worker()
        for task_id in tasks[1:]:
            assert (await place.answer(task_id))[0] == "done"


@in_loop
async def test_end_gives_back_what_takes_longer_than_the_limit(tmp_path):
    async with site(tmp_path, speed=SLOW, drain_limit_s=0.2) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 90})
        await place.at_work(task_id)
        place.worker.end("a test")
        await place.running
        assert turns(place) == [1]
        await place.has_run("interrupted")
        await place.comfyui.hasten()
        place.start_worker()
        assert (await place.answer(task_id))[0] == "done"


#: What ECS is asked.
PROTECTED, FREE = {"ProtectionEnabled": True, "ExpiresInMinutes": 15}, {"ProtectionEnabled": False}


class Host:
    """What the worker asks of its host: instance metadata, and ECS's agent."""

    def __init__(self) -> None:
        self.is_interrupted = False
        self.asked: list[dict[str, Any]] = []
        self._app = web.Application()
        self._app.router.add_put("/latest/api/token", self._token)
        self._app.router.add_get("/latest/meta-data/spot/instance-action", self._action)
        self._app.router.add_put("/task-protection/v1/state", self._protect)

    async def start(self) -> str:
        self._runner = web.AppRunner(self._app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        assert int(request.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
        return web.Response(text="a token")

    async def _action(self, request: web.Request) -> web.Response:
        if request.headers.get("X-aws-ec2-metadata-token") != "a token":
            return web.Response(status=401)
        if not self.is_interrupted:
            return web.Response(status=404)
        return web.json_response({"action": "terminate", "time": "2026-11-21T12:00:00Z"})

    async def _protect(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response({"protection": {"ProtectionEnabled": True}})


@in_loop
async def test_spot_notice_ends_the_worker(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.host._NOTICE_LOOK_S", 0.05)
    host = Host()
    async with site(tmp_path, speed=SLOW, spot_notice_url=await host.start()) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 20})
        await place.at_work(task_id)
        host.is_interrupted = True
        await place.running
        assert (await place.answer(task_id))[0] == "done"
    await host.stop()


@in_loop
async def test_task_is_protected_while_it_works(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.host._PROTECTION_LOOK_S", 0.05)
    host = Host()
    async with site(tmp_path, speed=SLOW, ecs_agent_uri=await host.start()) as place:
        await place.answer(place.submit("qwen-image-edit", EDIT | {"steps": 10}))
        await until(lambda: len(host.asked) == 2)
    await host.stop()
    assert host.asked == [PROTECTED, FREE]


async def said_at(*looks: tuple[float, bool]) -> list[tuple[float, dict[str, Any]]]:
    """Return what ECS is asked, and when, if the worker is looked at then: seconds, and whether it is busy."""
    host, now, said = Host(), 0.0, []
    url = await host.start()
    async with aiohttp.ClientSession() as http:
        protection = TaskProtection(http, url, clock=lambda: now)
        for now, is_busy in looks:
            await protection.look(is_busy=is_busy)
            said += [(now, each) for each in host.asked]
            host.asked.clear()
    await host.stop()
    return said


@in_loop
async def test_worker_that_is_always_busy_is_let_go_of_for_a_minute_each_half_hour():
    said = await said_at(*((second, True) for second in range(0, 3721, 20)))
    assert [second for second, each in said if each == FREE] == [1800, 3660]
    assert [second for second, each in said if each == PROTECTED] == [
        *range(0, 1800, 320),
        *range(1860, 3660, 320),
        3720,
    ]


@in_loop
async def test_short_pauses_do_not_put_off_the_minute_without_protection():
    pause = [(1200, False), (1210, True)]
    assert await said_at((0, True), *pause, (1799, True), (1800, True), (1859, True), (1860, True)) == [
        (0, PROTECTED),
        (1200, FREE),
        (1210, PROTECTED),
        (1799, PROTECTED),
        (1800, FREE),
        (1860, PROTECTED),
    ]


@in_loop
async def test_idle_minute_begins_a_new_half_hour():
    assert await said_at((0, True), (1700, False), (1760, True), (1800, True), (3559, True), (3560, True)) == [
        (0, PROTECTED),
        (1700, FREE),
        (1760, PROTECTED),
        (3559, PROTECTED),
        (3560, FREE),
    ]


@in_loop
async def test_worker_says_what_it_does(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 20})
        await place.at_work(task_id)
        async with served(place.worker.condition, 0) as port, aiohttp.ClientSession() as http:

            async def get(path: str) -> tuple[int, dict[str, Any]]:
                async with http.get(f"http://127.0.0.1:{port}/{path}") as response:
                    return response.status, await response.json()

            assert await get("ready") == (200, {"state": "ready"})
            status, health = await get("health")
            assert (status, health["jobs"]) == (200, [{"task_id": task_id, "stage": "running"}])
            assert health["comfyui"].startswith("0.3.64")
            place.worker.end("a test")
            assert await get("ready") == (503, {"state": "ending"})
