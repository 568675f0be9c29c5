"""What is heard over a WebSocket, and what is not."""

from tests.comfyui.graphs import plain, sampling, slow
from tests.comfyui.recorder import Recorder
from tests.comfyui.scenarios.kept import nothing, of_the_sampler


async def sampled(recorder: Recorder) -> None:
    """A sampler tells of its steps, with a preview of each if the client has asked for it."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    graph = sampling(await recorder.peek("/object_info"), steps=3, seed=recorder.colour)
    for name, flags in (("plain", {}), ("with metadata", {"supports_preview_metadata": True})):
        prompt = recorder.new(f"{name} prompt")
        graph["6"]["inputs"]["seed"] += 1
        async with recorder.socket(name, client, of_the_sampler) as own:
            await own.send({"type": "feature_flags", "data": flags})
            await recorder.prompt(
                graph, client_id=client, prompt_id=prompt, extra_data={"preview_method": "latent2rgb"}
            )
            await own.until_end(prompt)


async def reconnect(recorder: Recorder) -> None:
    """A socket is lost during a prompt: the next one hears where the prompt is, and what is left."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    async with recorder.socket("before", client, nothing) as before:
        await recorder.prompt(slow(recorder), client_id=client, prompt_id=prompt)
        await before.until("executing", lambda data: data["node"] == "2")
    async with recorder.socket("after", client, nothing) as after:
        await after.until_end(prompt)
    recorder.note("first messages of the second socket", [each["type"] for each in after.messages[:2]])
    recorder.note("which names no prompt", "prompt_id" not in after.messages[1]["data"])


async def replaced_socket(recorder: Recorder) -> None:
    """A second socket of the same client takes the messages over; when the first one ends, the second hears nothing."""
    client, prompt = recorder.new("client"), recorder.new("prompt")
    async with recorder.socket("first", client) as first, recorder.socket("second", client, nothing) as second:
        await recorder.prompt(plain(recorder), client_id=client, prompt_id=prompt)
        await second.until_end(prompt)
        recorder.note("first is closed", first.is_closed)
        await first.close()
        again, heard = recorder.new("prompt after the first has ended"), len(second.messages)
        await recorder.prompt(plain(recorder, width=8), client_id=client, prompt_id=again)
        await recorder.until_idle()
        await recorder.get(f"/history/{again}")
        recorder.note("what the second heard then", [each["type"] for each in second.messages[heard:]])


async def features(recorder: Recorder) -> None:
    """What a server says that it can do, asked both ways; only the first message of a socket is understood."""
    shown = await recorder.peek("/features")
    recorder.note("flags", sorted(set(shown) & {"supports_preview_metadata", "max_upload_size"}))
    async with recorder.socket("own", recorder.new("client"), nothing) as own:
        await own.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        answer = await own.until("feature_flags")
        recorder.note("same as over HTTP", answer["data"] == shown)
    async with recorder.socket("late", recorder.new("late client")) as late:
        await late.send({"type": "hello"})
        await late.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        await recorder.post("/free", {})
        await late.send({"type": "nothing"})


SCENARIOS = (sampled, reconnect, replaced_socket, features)
