"""The model behind the server's own code: JSON in, JSON out, with checkpoints that lie in S3."""

import asyncio
import base64
import hashlib
import json

import pytest
import torch
import yaml

from sagemaker_models.qwen_edit import model as model_module
from sagemaker_models.qwen_edit.model import QwenEdit
from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.files import FileCache
from sagemaker_models.serving.invocations import Invocations
from tests.qwen_edit.checkpoints import EXAMPLES, diffusers_keys, lora_values, mask, photo, png, save_lora

PREFIX = "s3://assets/models/qwen-edit/tasks/"


class Objects:
    """S3 in memory."""

    def __init__(self):
        self.objects = {}

    def size(self, uri):
        return len(self.objects[uri]) if uri in self.objects else None

    def exists(self, uri):
        return uri in self.objects

    def download(self, uri, path):
        path.write_bytes(self.objects[uri])
        return hashlib.sha256(self.objects[uri]).hexdigest()

    def store(self, uri, file, cache_control=""):
        self.objects[uri] = file.body
        return {"url": uri, "bytes": len(file.body), "content_type": file.content_type}


class Server:
    """A loaded model and what answers its requests."""

    def __init__(self, weights, folder):
        self.model, self.storage = QwenEdit(), Objects()
        self.model.load(weights)
        self._folder = folder

    def ask(self, *, parameters=None, **fields):
        """Send one request; return status and answer."""
        quick = {"task": "removal", "steps": 2, "true_cfg": 1.0, "seed": 1, "input_quality": "original"}
        inputs = {"image": png(photo()), "mask": png(mask())}
        body = {
            "id": "task.edit.1",
            "model": "qwen-edit",
            "inputs": {name: {"base64": base64.b64encode(data).decode()} for name, data in inputs.items()},
            "parameters": quick | (parameters or {}),
        }
        return asyncio.run(self._answer(json.dumps(body | fields).encode()))

    async def _answer(self, body):
        async def read():
            return body

        files = FileCache(self.storage, PREFIX, 10_000_000, self._folder)
        runner = Runner(self.model, 1, 0.0)
        answer = await Invocations(self.model, runner, self.storage, files, 10_000_000).answer(read)
        return answer.status, json.loads(answer.body)

    def publish(self, path):
        """Put a checkpoint into S3; return what a request says of it."""
        content = path.read_bytes()
        uri = f"{PREFIX}removal/{path.name}"
        self.storage.objects[uri] = content
        return {"checkpoint": {"uri": uri, "sha256": hashlib.sha256(content).hexdigest()}}


@pytest.fixture
def server(with_removal, tmp_path):
    return Server(with_removal, tmp_path)


@pytest.fixture
def published(linears, tmp_path):
    return save_lora(tmp_path / "new.safetensors", diffusers_keys(lora_values(linears, seed=33)))


REMOVAL = yaml.safe_load((EXAMPLES / "removal.yaml").read_text())


def test_request_is_answered_with_the_picture_and_how_it_was_made(server):
    status, answer = server.ask(outputs={"image": "s3://assets/out.png"})
    assert (status, answer["id"]) == (200, "task.edit.1")
    assert server.storage.objects["s3://assets/out.png"].startswith(b"\x89PNG")
    assert answer["values"]["seed"] == 1
    assert answer["model"]["tasks"]["removal"] == answer["values"]["checkpoint_sha256"]


def test_request_switches_to_a_checkpoint_that_was_published_meanwhile(server, published):
    _, old = server.ask()
    files = server.publish(published)
    status, new = server.ask(files=files, parameters={"checkpoint": REMOVAL})
    assert (status, new["values"]["checkpoint_sha256"]) == (200, files["checkpoint"]["sha256"])
    assert new["outputs"]["image"]["base64"] != old["outputs"]["image"]["base64"]
    assert server.ask()[1]["outputs"] == old["outputs"]


def test_request_with_a_checkpoint_that_is_corrupt_fails_alone(server, published):
    published.write_bytes(published.read_bytes()[:-7])
    files = server.publish(published)
    status, answer = server.ask(files=files, parameters={"checkpoint": REMOVAL})
    assert (status, answer["error"]["code"]) == (200, "CheckpointRefused")
    assert "cannot be read as safetensors" in answer["error"]["message"]
    assert files["checkpoint"]["sha256"][:16] in answer["error"]["message"]
    assert server.ask()[0] == 200


def test_request_with_a_checkpoint_that_is_not_what_it_says_fails_alone(server, published):
    files = server.publish(published)
    server.storage.objects[files["checkpoint"]["uri"]] += b"x"
    status, answer = server.ask(files=files, parameters={"checkpoint": REMOVAL})
    assert (status, answer["error"]["code"]) == (200, "FileRefused")
    assert server.ask()[0] == 200


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"parameters": {"guidance_scale": 4.0}}, "RequestInvalid"),
        ({"parameters": {"task": "insertion"}}, "TaskUnavailable"),
        ({"inputs": {}}, "RequestInvalid"),
        ({"files": {"lora": {"uri": f"{PREFIX}x", "sha256": "0" * 64}}}, "RequestInvalid"),
    ],
)
def test_request_that_cannot_be_done_is_at_fault(server, fields, code):
    status, answer = server.ask(**fields)
    assert (status, answer["error"]["code"]) == (200, code)


def test_conditional_images_are_stored_as_far_as_they_are_made(server):
    outputs = {name: f"s3://assets/{name}.png" for name in ("image", *QwenEdit.optional_outputs)}
    status, answer = server.ask(parameters={"debug": True}, outputs=outputs)
    made = ["image", "condition_1", "condition_2", "condition_3"]
    assert (status, sorted(answer["outputs"])) == (200, sorted(made))
    assert sorted(server.storage.objects) == sorted(outputs[name] for name in made)


def test_request_that_was_cancelled_is_not_run(server):
    server.storage.objects["s3://assets/cancel"] = b""
    status, answer = server.ask(cancel="s3://assets/cancel", outputs={"image": "s3://assets/out.png"})
    assert (status, answer["error"]["code"]) == (200, "Cancelled")
    assert "s3://assets/out.png" not in server.storage.objects


def test_request_that_runs_out_of_memory_is_run_again_after_a_release(server, monkeypatch):
    generate, calls = model_module.generate, []

    def short_once(*arguments):
        calls.append(server.model._loaded.pipe)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(*arguments)

    monkeypatch.setattr(model_module, "generate", short_once)
    assert server.ask()[0] == 200
    assert calls[0] is not calls[1]


def test_request_whose_values_are_no_numbers_is_told_so(server):
    pipe = server.model._loaded.pipe
    pipe.transformer.get_parameter("proj_out.bias").fill_(torch.nan)
    status, answer = server.ask()
    assert (status, answer["error"]["code"]) == (200, "OutputInvalid")
    assert "step 1 of 2 made values that are no numbers" in answer["error"]["message"]
    server.model.release()
    assert server.ask()[0] == 200
