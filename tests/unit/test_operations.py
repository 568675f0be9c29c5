"""The catalogue, and what its requests take beyond their types."""

import pytest

from backlot.comfyui import RUN_WORKFLOW
from backlot.errors import OperationNotFound
from backlot.operations import Lane, RequestContext, catalogue, operation_named
from backlot.seedream_models import OfferedModels
from backlot.steps import step_named

URL = "https://images.example.com/a.jpg"
SWAP = {"masked_image_url": URL, "target_face_url": URL}


def test_operation_of_another_name_is_not_found():
    with pytest.raises(OperationNotFound, match="'nope'"):
        operation_named("nope")


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_operations_steps_exist_and_its_example_is_a_request(operation):
    if operation.lane is Lane.GPU:
        assert operation.steps == (RUN_WORKFLOW,)
    else:
        assert [step_named(step).name for step in operation.steps] == list(operation.steps)
    assert operation.request.model_validate(operation.example)


@pytest.mark.parametrize(
    ("size", "read"), [(None, None), ("", None), ("auto", None), ("2K", "2K"), ("1024x1024", "1024x1024")]
)
def test_size_of_a_request_in_any_automatic_form_is_none(size, read):
    assert operation_named("face-swap").request.model_validate(SWAP | {"size": size}).size == read


def test_size_of_a_request_is_held_against_the_configured_model():
    swap = operation_named("face-swap").request
    context = RequestContext(seedream=OfferedModels("doubao-seedream-4-5-251128"))
    assert swap.model_validate(SWAP | {"size": "1K"}).size == "1K"
    with pytest.raises(ValueError, match="Size must be 'auto', 2K, 4K, or WIDTHxHEIGHT"):
        swap.model_validate(SWAP | {"size": "1K"}, context=context)


@pytest.mark.parametrize(("length", "valid"), [(0, True), (8000, True), (8001, False)])
def test_prompt_of_a_request_has_its_longest_length(length, valid):
    swap = operation_named("face-swap").request
    body = SWAP | {"prompt": "x" * length}
    if valid:
        assert len(swap.model_validate(body).prompt) == length
    else:
        with pytest.raises(ValueError, match="at most 8000 characters"):
            swap.model_validate(body)


@pytest.mark.parametrize(("skip_mask", "read"), [(None, False), (False, False), (True, True), ("true", True)])
def test_skip_mask_of_a_request_in_the_forms_of_old_clients_is_read(skip_mask, read):
    body = {"source_image_url": URL, "target_face_url": URL, "skip_mask": skip_mask}
    assert operation_named("full-face-swap").request.model_validate(body).skip_mask is read
