"""SCHP on a GPU. Needs torch and numpy only, so that it runs on a bare machine."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from bench.figures import Section, Table, p50
from sagemaker_models.schp.network import Network
from sagemaker_models.schp.plan import plan_of
from sagemaker_models.schp.program import Program

BATCHES, RUNS, SIZE_PX = (1, 4, 16), 30, 512


def measure_cuda() -> Section:
    """Measure the plain network and its plan, with and without graphs, in three number types."""
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    network = Network(18).eval().requires_grad_(requires_grad=False).cuda()
    rows: list[tuple[Any, ...]] = []
    with torch.inference_mode():
        for batch in BATCHES:
            pixels = torch.randn(batch, 3, SIZE_PX, SIZE_PX, device="cuda")
            exact = network(pixels)[1]
            rows.append(_row("plain fp32", batch, partial(_fusion, network, pixels), exact))
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                rows += _plans(network, pixels.to(dtype), exact)
    columns = ("way", "batch", "ms", "images/s", "peak MiB", "greatest relative error, %")
    return Section(f"SCHP on {torch.cuda.get_device_name()}", [], [Table("512x512", columns, rows)])


def _fusion(network: Network, pixels: torch.Tensor) -> torch.Tensor:
    return network(pixels)[1]


def _plans(network: Network, pixels: torch.Tensor, exact: torch.Tensor) -> list[tuple[Any, ...]]:
    program = Program(plan_of(network)).to("cuda", pixels.dtype, memory_format=torch.channels_last)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    kind, batch = str(pixels.dtype).removeprefix("torch."), len(pixels)
    rows = [_row(f"plan {kind}", batch, lambda: program(pixels), exact)]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = program(pixels)

    def replay() -> torch.Tensor:
        graph.replay()
        return made

    rows.append(_row(f"plan {kind}, graph", batch, replay, exact))
    try:
        compiled = torch.compile(program, mode="max-autotune-no-cudagraphs")
        rows.append(_row(f"plan {kind}, compiled", batch, lambda: compiled(pixels), exact))
    except Exception as error:  # noqa: BLE001 - a compiler that is missing must not cost the other rows
        rows.append((f"plan {kind}, compiled: {type(error).__name__}", batch, 0.0, 0.0, 0.0, 0.0))
    return rows


def _row(name: str, batch: int, way: Callable[[], torch.Tensor], exact: torch.Tensor) -> tuple[Any, ...]:
    torch.cuda.reset_peak_memory_stats()
    taken = []
    for turn in range(-5, RUNS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        made = way()
        torch.cuda.synchronize()
        if turn >= 0:
            taken.append(time.perf_counter() - begin)
    error = float((made.float() - exact).abs().max() / exact.abs().max())
    memory = torch.cuda.max_memory_allocated() / 2**20
    return name, batch, 1000 * p50(taken), batch / p50(taken), memory, 100 * error
