"""A tiny base on the disk, and weights folders around it."""

import shutil
import socket

import pytest
import torch

from bench.qwen_edit_checkpoint import TINY, small_areas, write_base
from sagemaker_models.qwen_edit.adapters import linears_of
from sagemaker_models.qwen_edit.pipeline import load_pipeline
from tests.qwen_edit.checkpoints import diffusers_keys, lora_values, save_task


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*arguments):
        pytest.fail(f"somebody wants to connect: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def _small():
    with small_areas():
        yield


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Return a base whose transformer is cut into several files; not to be changed."""
    return write_base(tmp_path_factory.mktemp("published") / "base", TINY, shards="100KB")


@pytest.fixture(scope="session")
def linears(base):
    return linears_of(load_pipeline(base).transformer)


@pytest.fixture
def weights(base, tmp_path):
    """Return a weights folder with that base, and nothing else."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "base").symlink_to(base)
    return folder


@pytest.fixture
def own_base(base, weights):
    """Give the weights folder a base of its own, which may be changed."""
    (weights / "base").unlink()
    return shutil.copytree(base, weights / "base")


@pytest.fixture(scope="session")
def removal(linears):
    """Return a LoRA's keys."""
    return diffusers_keys(lora_values(linears, seed=7))


@pytest.fixture
def with_removal(weights, removal):
    save_task(weights, "removal", removal)
    return weights
