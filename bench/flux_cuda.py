"""`python -m bench.flux_cuda`: FLUX and PuLID on a GPU, in the published sizes with random weights.

    python -m bench.flux_cuda --folder /tmp/flux                          # 40 GB of disk, 40 GB of memory on the host
    python -m bench.flux_cuda --folder /tmp/flux --ways full fp8          # a part of it; the checkpoint is kept
    python -m bench.flux_cuda --tiny                                      # tiny sizes, on a processor too

It needs the models' environment only. Random weights make no pictures, but cost what trained ones cost.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.figures import Section, Table, p50
from bench.flux_checkpoint import PUBLISHED, TINY, Scale, Writer
from sagemaker_models.flux.checkpoint import FLUX
from sagemaker_models.flux.config import SHIPPED
from sagemaker_models.flux.licences import Variant
from sagemaker_models.flux.model import Flux
from sagemaker_models.flux.parameters import RULES, FluxParameters
from sagemaker_models.serving.model import Outputs, Request

#: Ways to run, and what `config.yaml` says for each.
WAYS: dict[str, dict[str, Any]] = {
    "full": {"placement": "full"},
    "full, compiled": {"placement": "full", "compile": True},
    "fp8": {"placement": "fp8"},
    "fp8, compiled": {"placement": "fp8", "compile": True},
    "full-offload": {"placement": "full-offload"},
    "fp8-offload": {"placement": "fp8-offload"},
}

GIB = 2**30


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Args:
        folder: of the checkpoint.
        scale: of its parts.
        variant: of FLUX.
        side_px: of the pictures.
        runs: of each kind, after a first one.
    """

    folder: Path
    scale: Scale
    variant: Variant
    side_px: int
    runs: int

    def measure(self, ways: Sequence[str]) -> Section:
        """Measure ways to run, and what each kind of request costs with the first of them."""
        rows: list[tuple[Any, ...]] = []
        kinds: list[tuple[Any, ...]] = []
        expected = None
        for way in ways:
            try:
                model, load_s = self._loaded(way)
                kept_gib = _allocated() / GIB
                first_s, made = self._timed(model, prompt="a sailor", seed=1)
                taken, _ = self._p50(model, lambda _: {"prompt": "a sailor", "seed": 1})
                expected = made if expected is None else expected
                differs = float(np.abs(made - expected).mean())
                rows.append((way, load_s, kept_gib, first_s, taken, 1 / taken, _peak() / GIB, differs))
                if not kinds:
                    kinds = self._kinds(model)
                model.release()
            except Exception as error:  # noqa: BLE001 - what one way lacks must not cost the others
                rows.append((f"{way}: {type(error).__name__}: {str(error)[:80]}", *[0.0] * 7))
        columns = ("way", "load s", "GiB", "first s", "then s p50", "pictures/s", "peak GiB", "differs, of 255")
        steps = RULES[self.variant].steps
        title = f"{self.side_px}x{self.side_px}, {steps} steps, the prompt known but for the first"
        tables = [
            Table(title, columns, rows),
            Table(f"{ways[0]}: what a request costs", ("request", "s p50", "peak GiB"), kinds),
        ]
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "a processor"
        return Section(f"FLUX.1 {self.variant} with PuLID on {device}", [], tables)

    def _kinds(self, model: Flux) -> list[tuple[Any, ...]]:
        portrait, picture = _png(self._portrait()), _png(np.zeros((self.side_px, self.side_px, 3), np.uint8))
        wishes: dict[str, Callable[[int], dict[str, Any]]] = {
            "a prompt that is known": lambda _: {"prompt": "a sailor"},
            "a prompt that is new": lambda turn: {"prompt": f"a sailor, number {turn}"},
            "with a portrait": lambda _: {"prompt": "a sailor", "inputs": {"portrait": portrait}},
            "with a portrait and true_cfg": lambda _: {
                "prompt": "a sailor",
                "inputs": {"portrait": portrait},
                "true_cfg": 2.0,
            },
            "a second pass, strength 0.4": lambda _: {
                "prompt": "a sailor",
                "inputs": {"image": picture},
                "strength": 0.4,
            },
        }
        rows: list[tuple[Any, ...]] = []
        for name, wish in wishes.items():
            taken, peak = self._p50(model, wish)
            rows.append((name, taken, peak / GIB))
        return rows

    def _p50(self, model: Flux, wish: Callable[[int], dict[str, Any]]) -> tuple[float, int]:
        self._timed(model, **wish(0))
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        taken = [self._timed(model, **wish(turn))[0] for turn in range(1, self.runs + 1)]
        return p50(taken), _peak()

    def _timed(self, model: Flux, inputs: dict[str, bytes] | None = None, **wishes: Any) -> tuple[float, Any]:
        size = {} if "strength" in wishes else {"width": self.side_px, "height": self.side_px}
        asked = FluxParameters.model_validate({**size, **wishes})
        begin = time.perf_counter()
        (made,) = model.run([Request(inputs or {}, asked, "bench")])
        taken = time.perf_counter() - begin
        if not isinstance(made, Outputs):
            raise ValueError(made.message)  # noqa: TRY004 - it is the request that was wrong
        return taken, np.asarray(Image.open(io.BytesIO(made.files["image"].body))).astype(np.float32)

    def _loaded(self, way: str) -> tuple[Flux, float]:
        # JSON is YAML.
        (self.folder / SHIPPED.name).write_text(json.dumps(WAYS[way]))
        model = Flux(self.scale.pulid, self.scale.tower)
        begin = time.perf_counter()
        model.load(self.folder)
        return model, time.perf_counter() - begin

    def _portrait(self) -> Any:
        """Draw what the random detector takes for a face: red on green."""
        pixels = np.zeros((800, 600, 3), np.uint8)
        pixels[..., 1] = 120
        pixels[300:500, 200:400] = (250, 20, 20)
        return pixels


def main() -> None:
    """Write the checkpoint if it is not there, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flux_cuda", description="Measures FLUX with PuLID on a GPU.")
    parser.add_argument("--folder", type=Path, help="of the checkpoint; a temporary one without it")
    parser.add_argument("--variant", choices=("dev", "schnell"), default="dev")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the measurement itself")
    parser.add_argument("--json", type=Path, help="where to write the section")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        scale, side_px = (TINY, 256) if given.tiny else (PUBLISHED, 1024)
        if not (folder / FLUX).exists():
            _write(folder, scale, given.variant)
        section = Bench(folder, scale, given.variant, side_px, given.runs).measure(given.ways)
    print("\n".join(section.lines()))
    if given.json:
        given.json.write_text(json.dumps(section.as_json()), encoding="utf-8")


def _write(folder: Path, scale: Scale, variant: str) -> None:
    begin = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    writer = Writer(folder, scale, "cuda" if torch.cuda.is_available() else "cpu")
    writer.flux(variant)
    writer.identity()
    print(f"a random checkpoint in {folder}: {time.perf_counter() - begin:.0f} s", flush=True)


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _allocated() -> int:
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def _peak() -> int:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


if __name__ == "__main__":
    main()
