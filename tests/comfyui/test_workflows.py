"""The workflows of our operations beside a real ComfyUI: it finds nothing wrong with them but models that it lacks."""

import uuid

import httpx
import pytest

from backlot.comfyui.graphs import job
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import catalogue
from containers.comfyui.workflows import workflows
from tests.wire.gpu_lane import CDN, png

#: The least that a request says, by operation.
REQUESTS = {"camera-angle": {"horizontal": 1}, "qwen-image-edit": {"prompt": "make it night"}}


@pytest.mark.parametrize("operation", workflows())
def test_workflow_is_valid_but_for_models(comfyui_url, operation):
    request = catalogue()[operation].request.model_validate(
        {"image_url": "https://pictures.example/a.png"} | REQUESTS[operation]
    )
    wanted = job(operation, request.resolved(ImageUrlPolicy("assets", CDN)).model_dump(mode="json"), workflows())
    with httpx.Client(base_url=comfyui_url) as http:
        name = http.post("/upload/image", files={"image": ("backlot-test.png", png(), "image/png")}).json()["name"]
        for place in wanted.uploads:
            node, _, field = place.partition(".")
            wanted.graph[node]["inputs"][field] = name
        prompt_id = str(uuid.uuid4())
        answer = http.post("/prompt", json={"prompt": wanted.graph, "prompt_id": prompt_id}).json()
        http.post("/queue", json={"delete": [prompt_id]})
        http.post("/interrupt", json={"prompt_id": prompt_id})
    lacking = {
        (found["class_type"], error["type"]) for found in answer["node_errors"].values() for error in found["errors"]
    }
    loaders = ("CheckpointLoaderSimple", "CLIPLoader", "LoraLoaderModelOnly", "UNETLoader", "VAELoader")
    assert lacking <= {(loader, "value_not_in_list") for loader in loaders}
    assert lacking or "error" not in answer
