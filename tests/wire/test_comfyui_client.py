"""ComfyUI's routes, where its answers are not those of a good day."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from backlot.comfyui.client import (
    ComfyuiClient,
    FileRef,
    NotListening,
    PromptRefused,
    Queued,
    TooLarge,
    UnexpectedAnswer,
    Unreachable,
)
from tests.wire.gpu_lane import in_loop

#: What a route answers with: JSON, or a response.
Answer = Any


async def asked(answer: Answer, call: Callable[[ComfyuiClient], Awaitable[Any]]) -> tuple[Any, list[Any]]:
    """Return what a call gets from a server that answers everything so, and what the server was sent."""
    heard: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        is_json = request.content_type == "application/json" and request.can_read_body
        heard.append((request.method, request.path, await request.json() if is_json else None))
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    runner = web.AppRunner(web.Application(), access_log=None)
    runner.app.router.add_route("*", "/{path:.*}", handle)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return await call(ComfyuiClient(http, url)), heard
    finally:
        await runner.cleanup()


def post(client: ComfyuiClient) -> Awaitable[None]:
    return client.post_prompt({}, prompt_id="p", client_id="c", extra_data={})


@in_loop
async def test_prompt_of_which_only_a_part_is_taken_is_refused():
    errors = {"9": {"class_type": "SaveImage", "errors": [{"message": "Invalid image file", "details": "image"}]}}
    with pytest.raises(PromptRefused, match=r"node 9 \(SaveImage\): Invalid image file: image"):
        await asked({"prompt_id": "p", "number": 1, "node_errors": errors}, post)


@in_loop
async def test_prompt_that_is_not_taken_is_refused():
    answer = web.json_response({"error": {"message": "Prompt has no outputs", "details": ""}}, status=400)
    with pytest.raises(PromptRefused, match="Prompt has no outputs"):
        await asked(answer, post)


@in_loop
async def test_status_that_a_route_does_not_have_is_no_answer():
    with pytest.raises(UnexpectedAnswer, match="HTTP 500 at /prompt: broken"):
        await asked(web.Response(status=500, text="broken"), post)


@pytest.mark.parametrize("answer", [web.Response(text="<html>"), web.json_response([])], ids=["html", "list"])
def test_answer_that_is_no_object_is_no_answer(answer):
    @in_loop
    async def scenario() -> None:
        with pytest.raises(UnexpectedAnswer):
            await asked(answer, ComfyuiClient.object_info)

    scenario()


@in_loop
async def test_connection_that_breaks_does_not_say_that_nobody_listens():
    with pytest.raises(Unreachable) as caught:
        await asked(None, post)
    assert not isinstance(caught.value, NotListening)


@in_loop
async def test_port_without_a_listener_says_so(unused_port):
    async with aiohttp.ClientSession() as http:
        client = ComfyuiClient(http, f"http://127.0.0.1:{unused_port}")
        with pytest.raises(NotListening):
            await client.queue()
        with pytest.raises(NotListening):
            async with client.events("c"):
                pass


@in_loop
async def test_uploaded_picture_is_named_as_comfyui_named_it():
    stored = {"name": "a (1).png", "subfolder": "mine", "type": "input"}
    name, _ = await asked(stored, lambda client: client.upload_image("a.png", b"png", "image/png"))
    assert name == "mine/a (1).png"


@in_loop
async def test_queue_tells_whose_prompts_wait():
    queue = {
        "queue_running": [[1, "p", {}, {"client_id": "c"}, ["9"]]],
        "queue_pending": [[2, "q", {}, {}, ["9"], {}], [3, "r", {}, None, []]],
    }
    found, _ = await asked(queue, ComfyuiClient.queue)
    assert found == [Queued("p", "c", True), Queued("q", "", False), Queued("r", "", False)]


@in_loop
async def test_prompt_is_withdrawn_by_its_id_wherever_it_is():
    _, heard = await asked({}, lambda client: client.withdraw("p"))
    assert heard == [("POST", "/queue", {"delete": ["p"]}), ("POST", "/interrupt", {"prompt_id": "p"})]


@in_loop
async def test_file_is_read_up_to_its_limit():
    file = FileRef("a.png", "backlot", "output")
    written: list[bytes] = []
    await asked(web.Response(body=b"12345"), lambda client: client.view(file, written.append, 5))
    assert b"".join(written) == b"12345"
    with pytest.raises(TooLarge):
        await asked(web.Response(body=b"12345"), lambda client: client.view(file, written.append, 4))


@in_loop
async def test_version_of_something_else_is_not_known():
    assert (await asked({"system": None}, ComfyuiClient.version))[0] == "unknown"
