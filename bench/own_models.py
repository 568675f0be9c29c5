"""The servers of models of our own in local mode: what they cost to start, to keep, and to ask.

With nothing else set, stand-ins are behind them. With `QWEN_EDIT_WEIGHTS` and the like, it is the real networks; on a
GPU without local mode, `bench/qwen_edit_cuda.py` and `bench/flux_cuda.py` measure those alone.
"""

import base64
import time
from typing import Any

import httpx
import psutil

from bench.figures import Section, Table, p50
from bench.stand import Stand
from local.demo import pictures
from local.demo.pictures import ADMIRAL, ASTRONAUT
from local.models import await_model_server, model_server, start_model_server
from local.stack import up

#: Requests of each kind, after one that is not counted.
SAMPLES = 8


def _in_base64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def _requests() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return a request of each kind, and the model that it is for."""
    astronaut, admiral = pictures.portrait(ASTRONAUT), pictures.portrait(ADMIRAL)
    patch = _in_base64(pictures.png(pictures.ellipse(astronaut, (171, 385), (44, 46))))
    person, face = _in_base64(pictures.png(astronaut)), _in_base64(pictures.png(admiral))
    removal = {"task": "removal", "seed": 1, "steps": 10}
    portrait = {"prompt": "a sailor on a quay at dusk", "seed": 1, "width": 1024, "height": 1024}
    return {
        "body masks": ("schp", {"inputs": {"image": person}}),
        "a click on a known picture": (
            "segment",
            {"inputs": {"image": person}, "parameters": {"task": "mask", "points": [[260, 410]]}},
        ),
        "a background": ("segment", {"inputs": {"image": person}, "parameters": {"task": "background"}}),
        "a removal, 512x512": ("qwen-edit", {"inputs": {"image": person, "mask": patch}, "parameters": removal}),
        "a portrait, 1024x1024": ("flux", {"inputs": {"portrait": face}, "parameters": portrait}),
    }


def measure_own_models(stand: Stand) -> Section:
    """Start each server anew, and ask it one thing after the other."""
    place = stand.place
    started: dict[str, tuple[float, float]] = {}
    rows: list[tuple[Any, ...]] = []
    for kind, (model, request) in _requests().items():
        if model not in started:
            model_server(place, model).stop()
            began = time.perf_counter()
            start_model_server(place, model)
            await_model_server(place, model)
            started[model] = (time.perf_counter() - began, _memory_mb(stand, model))
        runs = [_run_s(stand, model, request) for _ in range(SAMPLES + 1)][1:]
        load_s, idle_mb = started[model]
        rows.append(
            (
                kind,
                model,
                round(load_s, 2),
                round(idle_mb),
                round(_memory_mb(stand, model)),
                round(1000 * p50(runs)),
                round(1 / p50(runs), 2),
            )
        )
    # Everything else in the place is told of the servers again.
    up(place)
    columns = ("what", "model", "start, s", "loaded, MB", "at work, MB", "run p50, ms", "a second")
    return Section("Servers of models of our own", [], [Table(f"{SAMPLES} requests each, one by one", columns, rows)])


def _run_s(stand: Stand, model: str, request: dict[str, Any]) -> float:
    """Ask a server once; return how long its model ran, seconds."""
    body = {"id": "bench", "model": model, **request}
    answer = httpx.post(f"{stand.place.model_server(model)}/invocations", json=body, timeout=300, trust_env=False)
    answer.raise_for_status()
    answered: dict[str, Any] = answer.json()
    if "error" in answered:
        raise RuntimeError(f"{model} refused: {answered['error']['message']}")
    return float(answered["timings"]["run_s"])


def _memory_mb(stand: Stand, model: str) -> float:
    """Return what a server's process has in memory, MB."""
    pid = int((stand.place.run / f"model-server-{model}.pid").read_text().split()[0])
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return float(sum(process.memory_info().rss for process in processes)) / 1e6
