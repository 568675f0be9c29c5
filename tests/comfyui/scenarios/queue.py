"""Prompts that wait, are interrupted and are deleted."""

from tests.comfyui.graphs import plain, sampling, slow
from tests.comfyui.recorder import Recorder
from tests.comfyui.scenarios.kept import beginnings_and_ends, nothing, of_prompts


async def one_behind_another(recorder: Recorder) -> None:
    """Two clients' prompts: each hears of its own, and of the queue."""
    clients = [recorder.new(f"client {at}") for at in (1, 2)]
    prompts = [recorder.new(f"prompt {at}") for at in (1, 2)]
    first = recorder.socket("first", clients[0], of_prompts)
    async with first, recorder.socket("second", clients[1]) as second:
        await recorder.prompt(slow(recorder), client_id=clients[0], prompt_id=prompts[0])
        await first.until("executing")
        await recorder.prompt(plain(recorder), client_id=clients[1], prompt_id=prompts[1])
        await recorder.get("/queue")
        await recorder.get(f"/history/{prompts[0]}")
        await first.until_end(prompts[0])
        await second.until_end(prompts[1])
    for prompt in prompts:
        await recorder.get(f"/history/{prompt}")


async def interrupted(recorder: Recorder) -> None:
    """A running prompt is interrupted by its id, after the ids of others did nothing to it."""
    client, prompt, queued = recorder.new("client"), recorder.new("prompt"), recorder.new("queued prompt")
    own = recorder.socket("own", client, beginnings_and_ends)
    async with own, recorder.socket("other", recorder.new("other client")) as other:
        await recorder.prompt(slow(recorder), client_id=client, prompt_id=prompt)
        await own.until("executing")
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=queued)
        await recorder.post("/interrupt", {"prompt_id": recorder.new("unknown prompt")})
        await recorder.post("/interrupt", {"prompt_id": queued})
        await own.until("executing")
        await recorder.post("/interrupt", {"prompt_id": prompt})
        await own.until_end(prompt)
        await own.until_end(queued)
        await recorder.post("/interrupt", {"prompt_id": prompt})
        await other.until("status", lambda data: data["status"]["exec_info"]["queue_remaining"] == 0)
    history = await recorder.get(f"/history/{prompt}")
    recorder.note("interrupted before its end", "11" not in history[prompt]["outputs"])
    await recorder.get(f"/history/{queued}")


async def deleted_from_the_queue(recorder: Recorder) -> None:
    """A prompt that waits is taken out: nobody hears of it, and it leaves no history."""
    client, prompt, queued = recorder.new("client"), recorder.new("prompt"), recorder.new("queued prompt")
    async with recorder.socket("own", client, of_prompts) as own:
        await recorder.prompt(slow(recorder), client_id=client, prompt_id=prompt)
        await own.until("executing")
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=queued)
        await recorder.post("/queue", {"delete": [recorder.new("unknown prompt"), queued, prompt]})
        await recorder.get("/queue")
        await own.until_end(prompt)
    await recorder.get(f"/history/{queued}")
    await recorder.get("/prompt")


async def numbers(recorder: Recorder) -> None:
    """What is posted with a number below 0 or `front` runs before what waits."""
    client = recorder.new("client")
    names = ("first", "second", "front", "number")
    prompts = {name: recorder.new(name) for name in names}
    async with recorder.socket("own", client, nothing) as own:
        await recorder.prompt(slow(recorder), client_id=client, prompt_id=prompts["first"])
        await own.until("executing")
        await recorder.prompt(plain(recorder), prompt_id=prompts["second"])
        await recorder.prompt(plain(recorder), prompt_id=prompts["front"], front=True)
        await recorder.prompt(plain(recorder), prompt_id=prompts["number"], number=-1e9)
        queue = await recorder.peek("/queue")
        waiting = sorted(queue["queue_pending"], key=lambda item: item[0])
        recorder.note("waiting", [item[1] for item in waiting])
        await recorder.post("/queue", {"clear": True})
        await recorder.get("/prompt")
        await recorder.post("/interrupt", {"prompt_id": prompts["first"]})
        await own.until("execution_interrupted")
        await own.until_end(prompts["first"])


async def sampler_interrupted(recorder: Recorder) -> None:
    """A sampler is interrupted between two of its steps."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    graph = sampling(await recorder.peek("/object_info"), steps=10_000, seed=recorder.colour)
    async with recorder.socket("own", client, beginnings_and_ends) as own:
        await recorder.prompt(graph, client_id=client, prompt_id=prompt)
        await own.until("progress")
        await recorder.post("/interrupt", {"prompt_id": prompt})
        interrupted = await own.until("execution_interrupted")
        await own.until_end(prompt)
    recorder.note("in", interrupted["data"]["node_type"])
    entry = (await recorder.peek(f"/history/{prompt}"))[prompt]
    recorder.note("outputs", entry["outputs"])
    recorder.note("status", [entry["status"]["status_str"], entry["status"]["completed"]])


async def jobs(recorder: Recorder) -> None:
    """The routes of newer servers."""
    client, unknown = recorder.new("client"), recorder.new("unknown prompt")
    running, waiting = recorder.new("running prompt"), recorder.new("waiting prompt")
    await recorder.get(f"/api/jobs/{unknown}")
    await recorder.post(f"/api/jobs/{unknown}/cancel", {})
    await recorder.post("/api/jobs/cancel", {"job_ids": [unknown]})
    async with recorder.socket("own", client, nothing) as own:
        await recorder.prompt(slow(recorder), client_id=client, prompt_id=running)
        await own.until("executing")
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=waiting)
        await recorder.get(f"/api/jobs/{running}")
        await recorder.get(f"/api/jobs/{waiting}")
        await recorder.post(f"/api/jobs/{waiting}/cancel", {})
        await recorder.post(f"/api/jobs/{running}/cancel", {})
        if recorder.steps[-1]["status"] != 200:
            await recorder.post("/queue", {"delete": [waiting]})
            await recorder.post("/interrupt", {"prompt_id": running})
        await own.until("execution_interrupted")
        await own.until_end(running)
    await recorder.get(f"/api/jobs/{running}")
    await recorder.get(f"/api/jobs/{waiting}")
    await recorder.post(f"/api/jobs/{running}/cancel", {})


async def done_job(recorder: Recorder) -> None:
    """A job that ended well, as newer servers show it."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    async with recorder.socket("own", client, nothing) as own:
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=prompt)
        await own.until_end(prompt)
    await recorder.get(f"/api/jobs/{prompt}")


async def history_pages(recorder: Recorder) -> None:
    """The newest entries, and entries that are deleted."""
    prompts = [recorder.new(f"prompt {at}") for at in (1, 2)]
    for prompt in prompts:
        await recorder.prompt(plain(recorder), prompt_id=prompt)
    await recorder.until_idle()
    recorder.note("the newest", list(await recorder.peek("/history?max_items=1")))
    recorder.note("the two newest", list(await recorder.peek("/history?max_items=2")))
    recorder.note("in /api too", list(await recorder.peek("/api/history?max_items=1")))
    await recorder.post("/history", {"delete": [prompts[0]]})
    await recorder.get(f"/history/{prompts[0]}")
    recorder.note("the newest", list(await recorder.peek("/history?max_items=1")))


SCENARIOS = (
    one_behind_another,
    interrupted,
    deleted_from_the_queue,
    numbers,
    sampler_interrupted,
    jobs,
    done_job,
    history_pages,
)
