"""Random weights in the published layouts, on disk, and models that the production code loaded from them."""

import warnings

import pytest
import torch

with warnings.catch_warnings():
    # What these libraries say while they are imported is not about us.
    warnings.simplefilter("ignore")
    import transformers

from bench.segment_checkpoint import SMALLEST, Bright, write_network, write_sam
from sagemaker_models.segment.model import Segment

transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """SAM, a U2-Net of 320 px and a BiRefNet that leaves its size open; nobody may change it."""
    path = tmp_path_factory.mktemp("weights")
    write_sam(path / "prompts", SMALLEST)
    write_network(path / "backgrounds" / "fast.onnx", Bright(320, threshold=0.5, more_outputs=6))
    write_network(path / "backgrounds" / "best.onnx", Bright(None, threshold=0.5, logits=True))
    (path / "config.yaml").write_text("precision: fp32\nbest: {size_px: 96}\n")
    return path


def loaded(folder):
    model = Segment()
    model.load(folder)
    return model


@pytest.fixture(scope="session")
def model(folder):
    return loaded(folder)
