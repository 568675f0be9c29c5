"""Tiny random checkpoints in the published layouts, on disk, and models that the production code loaded from them."""

import warnings
from pathlib import Path

import pytest
import torch

with warnings.catch_warnings():
    # What these libraries say while they are imported is not about us.
    warnings.simplefilter("ignore")
    import diffusers  # noqa: F401
    import transformers  # noqa: F401

from bench.flux_checkpoint import TINY, Writer
from sagemaker_models.flux.model import Flux


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def dev_folder(tmp_path_factory) -> Path:
    """FLUX.1 dev and PuLID; nobody may change it."""
    folder = tmp_path_factory.mktemp("dev")
    writer = Writer(folder, TINY, dtype=torch.float32)
    writer.flux("dev")
    writer.identity()
    return folder


@pytest.fixture(scope="session")
def schnell_folder(tmp_path_factory) -> Path:
    """FLUX.1 schnell alone; nobody may change it."""
    folder = tmp_path_factory.mktemp("schnell")
    Writer(folder, TINY, dtype=torch.float32).flux("schnell")
    return folder


def loaded(folder: Path) -> Flux:
    model = Flux(TINY.pulid, TINY.tower)
    model.load(folder)
    return model


@pytest.fixture(scope="session")
def dev(dev_folder) -> Flux:
    return loaded(dev_folder)


@pytest.fixture(scope="session")
def schnell(schnell_folder) -> Flux:
    return loaded(schnell_folder)
