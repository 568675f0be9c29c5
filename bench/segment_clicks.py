"""Clicks and removed backgrounds at real sizes, with random weights: what a first click costs, and what a second."""

import io
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from PIL import Image

from bench.figures import Figure, Section, Table
from bench.segment_checkpoint import PUBLISHED_TINY, write_sam
from bench.u2net import write_u2net
from sagemaker_models.segment.model import Segment
from sagemaker_models.segment.parameters import SegmentParameters
from sagemaker_models.serving.model import Outputs, Request

ROOT = Path(__file__).parents[1]

#: Turns in which each way is taken once.
TURNS = 4

#: Of the photos, pixels: 2 and 12 million.
SMALL, LARGE = (1600, 1200), (4000, 3000)

RATIO_BAR, SECOND_BAR_S = 0.2, 1.0

#: Weights of the two networks, by the size of their input.
NETWORKS = {"u2net": 320, "isnet": 1024}

#: Seconds of the clock, and of all processors together, which other work on the machine changes less.
Taken = tuple[float, float]


def measure_segment() -> Section:
    """Measure on this machine; the first time, the weights are made, which takes a minute."""
    models = {precision: _model(precision) for precision in ("fp32", "half")}
    clicks = _clicks(models)
    seconds = {name: _best(taken)[0] for name, taken in clicks.items()}
    default = "fp32" if models["half"].describe()["precision"] == "float32" else "half"
    first, second, large = (
        seconds[f"{name} click, {_megapixels(size)}, {default}"]
        for name, size in (("first", SMALL), ("second", SMALL), ("second", LARGE))
    )
    figures = [
        Figure("second click by the first, best by best", second / first, "", RATIO_BAR),
        Figure("second click on a 12-megapixel photo, best", large, "s", SECOND_BAR_S),
        Figure("pixels where a mask of half is not fp32's", 100 * _disagreement(models), "%"),
    ]
    for precision, model in models.items():
        kept = model.describe()["embeddings"]
        figures.append(Figure(f"kept of a picture, {precision}", kept["bytes"] / kept["pictures"] / 1e6, "MB"))
        model.release()
    rows = [(name, *_best(taken)) for name, taken in (clicks | _backgrounds()).items()]
    title = f"whole requests, the best of {TURNS} turns, on {_device()}"
    return Section("Segmentation", figures, [Table(title, ("request", "s", "processor s"), rows)])


def _clicks(models: dict[str, Segment]) -> dict[str, list[Taken]]:
    """Click twice on a new photo, in turns."""
    taken: dict[str, list[Taken]] = {}
    for turn in range(-1, TURNS):
        for size in (SMALL, LARGE):
            data = _photo(size, turn)
            for precision, model in models.items():
                for name, point in (("first", (500, 400)), ("second", (900, 700))):
                    seconds = _timed(partial(_click, model, data, point))
                    if turn >= 0:
                        taken.setdefault(f"{name} click, {_megapixels(size)}, {precision}", []).append(seconds)
    return taken


def _model(precision: str) -> Segment:
    """SAM 2.1 tiny, which looks in this precision."""
    folder = ROOT / ".build" / "segment-bench" / precision
    if not (folder / "prompts").exists():
        write_sam(folder / "prompts", PUBLISHED_TINY)
    # No picture is forgotten, so that what each takes can be told.
    (folder / "config.yaml").write_text(f"precision: {precision}\nembedding_cache_mb: 1000\n", encoding="utf-8")
    model = Segment()
    model.load(folder)
    return model


def _backgrounds() -> dict[str, list[Taken]]:
    taken: dict[str, list[Taken]] = {}
    data = _photo(SMALL, 0)
    for family, size_px in NETWORKS.items():
        folder = ROOT / ".build" / "segment-bench" / family
        if not (folder / "backgrounds").exists():
            write_u2net(folder / "backgrounds" / "fast.onnx", size_px, isnet=family == "isnet")
        model = Segment()
        model.load(folder)
        name = f"background, {family} at {size_px} px, {_megapixels(SMALL)}"
        taken[name] = [_timed(partial(_background, model, data)) for _ in range(TURNS)]
        model.release()
    return taken


def _click(model: Segment, data: bytes, point: tuple[int, int]) -> Outputs:
    made = model.run([Request({"image": data}, SegmentParameters(task="mask", points=(point,)), "bench")])[0]
    if not isinstance(made, Outputs):
        raise TypeError(f"the click failed: {made}")
    return made


def _background(model: Segment, data: bytes) -> None:
    made = model.run([Request({"image": data}, SegmentParameters(task="background"), "bench")])[0]
    # What random weights take for the subject does not matter; where they see none, only the encoding is left out.
    if not isinstance(made, Outputs) and made.code != "MaskEmpty":
        raise TypeError(f"the request failed: {made}")


def _disagreement(models: dict[str, Segment]) -> float:
    data, shares = _photo(SMALL, 0), []
    for point in ((300, 300), (800, 600), (1200, 900)):
        files = [_click(model, data, point).files["mask"].body for model in models.values()]
        one, other = (np.asarray(Image.open(io.BytesIO(each))) for each in files)
        shares.append(float(np.mean(one != other)))
    return float(np.mean(shares))


def _photo(size: tuple[int, int], turn: int) -> bytes:
    """A photo that no other turn has."""
    (path,) = ROOT.glob("local/portraits/*.jpg")
    pixels = np.array(Image.open(path).convert("RGB").resize(size))
    cv2.putText(pixels, str(turn), (40, 200), cv2.FONT_HERSHEY_SIMPLEX, 4, (255, 255, 255), 8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _timed(call: Callable[[], Any]) -> Taken:
    begin, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - begin, time.process_time() - busy


def _best(taken: list[Taken]) -> Taken:
    return min(wall for wall, _ in taken), min(busy for _, busy in taken)


def _megapixels(size: tuple[int, int]) -> str:
    return f"{size[0] * size[1] / 1e6:.0f} MP"


def _device() -> str:
    import torch  # noqa: PLC0415 - only its name is wanted

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{psutil.cpu_count()} processors"
