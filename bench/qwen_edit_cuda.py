"""Qwen-Image-Edit on a GPU, in the models' environment: `python -m bench.qwen_edit_cuda`; real size, random weights.

Each way of placing the pipeline is measured in a process of its own, because most of them cannot be undone. A dry run
on a machine without a GPU: `--device cpu --size tiny --ways bf16,fp8,group-offload --image-px 64 --steps 2`.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel

from bench.figures import Section, Table
from bench.qwen_edit_checkpoint import REAL, SCHEDULER, TINY, drawn, small_areas, write_words
from sagemaker_models.qwen_edit.generate import Job, generate
from sagemaker_models.qwen_edit.pipeline import assembled
from sagemaker_models.qwen_edit.placement import place
from sagemaker_models.qwen_edit.processor import load_processor
from sagemaker_models.serving.model import unwatched

SIZES = {"real": REAL, "tiny": TINY}

#: `compiled` is bf16 with the transformer's blocks compiled.
WAYS = ("bf16", "compiled", "fp8", "model-offload", "fp8-model-offload", "group-offload")

#: A checkpoint's usual number of conditional images.
IMAGES = 3

#: Steps of a run without Lightning, and with it.
SLOW, FAST = 40, 4


@dataclass
class Times:
    """Where one picture's time went, seconds.

    Args:
        encode_s: of one prompt with its images; a guided run has two.
        look_s: of all conditional images by the VAE's encoder.
        step_s: of one pass through the transformer; a guided step has two.
        decode_s: of the result.
        picture_s: of the whole, with `steps` steps.
    """

    encode_s: float = 0.0
    look_s: float = 0.0
    step_s: float = 0.0
    decode_s: float = 0.0
    picture_s: float = 0.0

    def picture_of(self, steps: int, *, guided: bool, encoded: bool = True) -> float:
        """Return how long a picture takes by these parts; without encoding, if its words are kept."""
        passes = 2 if guided else 1
        words_s = passes * self.encode_s if encoded else 0.0
        return words_s + self.look_s + passes * steps * self.step_s + self.decode_s


def main() -> None:
    """Measure all ways, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.qwen_edit_cuda", description="Measures Qwen-Image-Edit.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=[*SIZES], default="real")
    parser.add_argument("--ways", default=",".join(WAYS), help="with commas")
    parser.add_argument("--image-px", type=int, default=1024, help="side of the result and the conditional images")
    parser.add_argument("--steps", type=int, default=4, help="of the runs that are measured")
    parser.add_argument("--load", action="store_true", help="write the transformer to the disk and load it from there")
    parser.add_argument("--one", choices=[*WAYS, "load"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_load(arguments) if arguments.one == "load" else _one(arguments)))
        return
    rows, notes = [], []
    for way in arguments.ways.split(","):
        found = _in_a_process(way)
        rows.append(_row(way, found))
        if "error" not in found:
            notes += _notes(way, Times(**found["times"]))
    columns = ("way", "placed, s", "peak GiB", "encode, s", "look, s", "pass, s", "decode, s", "picture, s")
    title = f"{arguments.size} size, {IMAGES} images of {arguments.image_px} px, {arguments.steps} steps, no guidance"
    tables = [
        Table(title, columns, rows),
        Table("what follows for a picture", ("way", "run", "s", "pictures/min", "kept words save, %"), notes),
    ]
    if arguments.load:
        found = _in_a_process("load")
        tables.append(
            Table("loading the transformer", ("GB", "write, s", "load, s", "to the device, s"), [_loaded(found)])
        )
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "a CPU"
    print("\n".join(Section(f"Qwen-Image-Edit on {device}", [], tables).lines()))


def _in_a_process(way: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.qwen_edit_cuda", *sys.argv[1:], "--one", way],
        stdout=subprocess.PIPE,
        check=False,
        text=True,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode != 0 or not last.startswith("{"):
        return {"error": f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(last)
    return found


def _row(way: str, found: dict[str, Any]) -> tuple[Any, ...]:
    if "error" in found:
        return (f"{way}: {found['error']}", *[""] * 7)
    return (way, found["placed_s"], found["peak_gib"], *found["times"].values())


def _notes(way: str, times: Times) -> list[tuple[Any, ...]]:
    """Return what whole pictures take, and what it would save to keep a prompt's embeddings.

    They depend on the conditional images, so that they can be kept for another seed of the same edit only.
    """
    rows: list[tuple[Any, ...]] = []
    for run, steps, guided in ((f"{SLOW} steps, guided", SLOW, True), (f"{FAST} steps, Lightning", FAST, False)):
        whole_s = times.picture_of(steps, guided=guided)
        saved = 100 * (1 - times.picture_of(steps, guided=guided, encoded=False) / whole_s)
        rows.append((way, run, whole_s, 60 / whole_s, saved))
    return rows


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one way."""
    device = torch.device(arguments.device)
    way = arguments.one
    pipe = _pipeline(SIZES[arguments.size], device, in_memory="offload" in way)
    with contextlib.nullcontext() if arguments.size == "real" else small_areas():
        placed_s = _timed(device, lambda: place(pipe, "bf16" if way == "compiled" else way, device))
        if way == "compiled":
            pipe.transformer.compile_repeated_blocks(fullgraph=True)
        pixels = np.random.default_rng(0).integers(0, 256, (arguments.image_px, arguments.image_px, 3), np.uint8)
        job = Job([pixels] * IMAGES, "put a red cat on the table", None, 1.0, arguments.steps, 0)
        generate(pipe, job, unwatched)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        times = _measured(pipe, job, device)
    peak_gib = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    return {"placed_s": placed_s, "peak_gib": peak_gib, "times": asdict(times)}


def _pipeline(size: Any, device: torch.device, *, in_memory: bool) -> Any:
    """Return a pipeline with random weights, on the device or in the host's memory."""
    networks = drawn(size, device)
    if in_memory:
        networks = {name: network.to("cpu") for name, network in networks.items()}
    with tempfile.TemporaryDirectory() as folder:
        write_words(Path(folder))
        processor = load_processor(Path(folder))
    return assembled(networks, processor, FlowMatchEulerDiscreteScheduler(**SCHEDULER))


def _measured(pipe: Any, job: Job, device: torch.device) -> Times:
    times, passes = Times(), 0
    with contextlib.ExitStack() as stack:
        spent = {
            "encode_s": stack.enter_context(_watched(pipe.text_encoder, "forward", device)),
            "look_s": stack.enter_context(_watched(pipe.vae, "encode", device)),
            "step_s": stack.enter_context(_watched(pipe.transformer, "forward", device)),
            "decode_s": stack.enter_context(_watched(pipe.vae, "decode", device)),
        }
        times.picture_s = _timed(device, lambda: generate(pipe, job, unwatched))
    passes = len(spent["step_s"])
    for name, seconds in spent.items():
        setattr(times, name, sum(seconds))
    times.step_s /= passes
    return times


@contextlib.contextmanager
def _watched(module: Any, name: str, device: torch.device) -> Iterator[list[float]]:
    """Note how long each call of a method takes; what it waits for from before is not counted."""
    method, spent = getattr(module, name), []

    def watched(*given: Any, **named: Any) -> Any:
        made: list[Any] = []
        spent.append(_timed(device, lambda: made.append(method(*given, **named))))
        return made[0]

    setattr(module, name, watched)
    try:
        yield spent
    finally:
        setattr(module, name, method)


def _timed(device: torch.device, call: Callable[[], Any]) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _load(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the transformer, and load it the way the model does; the files are likely in the disk's cache by then."""
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        networks = drawn(SIZES[arguments.size], device)
        write_s = _timed(device, lambda: networks["transformer"].save_pretrained(folder))
        networks.clear()
        loaded: list[Any] = []
        load_s = _timed(
            device,
            lambda: loaded.append(
                QwenImageTransformer2DModel.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True)
            ),
        )
        move_s = _timed(device, lambda: loaded[0].to(device))
        size_gb = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e9
    return {"size_gb": size_gb, "write_s": write_s, "load_s": load_s, "move_s": move_s}


def _loaded(found: dict[str, Any]) -> tuple[Any, ...]:
    return (found["error"], "", "", "") if "error" in found else tuple(found.values())


if __name__ == "__main__":
    main()
