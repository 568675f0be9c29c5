"""Chooses the fastest backend that a machine has and that agrees with fp32."""

import logging
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np
import torch

from sagemaker_models.schp import backends, postprocess
from sagemaker_models.schp.backends import Backend
from sagemaker_models.schp.checkpoint import Checkpoint
from sagemaker_models.schp.config import Config
from sagemaker_models.schp.figures import draw_figure
from sagemaker_models.schp.native import decide, library
from sagemaker_models.schp.network import Network
from sagemaker_models.schp.plan import plan_of
from sagemaker_models.schp.postprocess import Labels, Logits
from sagemaker_models.schp.preprocess import Letterbox, Pixels, letterbox, normalise
from sagemaker_models.schp.quantise import Ranges, Scale
from sagemaker_models.schp.ranges import calibrate

log = logging.getLogger(__name__)

#: Part of the cache's names; to be counted up when ranges are found in another way.
RANGES_VERSION = 2

#: Drawn figures for calibration have the seeds from here on.
FIRST_SEED = 7_000


#: Makes labels from logits.
Labeller = Callable[[Logits, Letterbox], Labels]


class BackendUnavailable(Exception):
    """This machine, or this installation, does not have a backend; the message says what it lacks."""


@dataclass(frozen=True)
class Choice:
    """A backend, and how it was chosen.

    Args:
        backend: to run.
        agreement: share of points at which its masks are those of fp32; None if it was not compared.
        refused: why others were not taken, by name.
        label: makes the labels of a picture's pixels from logits.
    """

    backend: Backend
    agreement: float | None
    refused: dict[str, str]
    label: Labeller


class Chooser:
    """Builds backends for one checkpoint.

    Args:
        checkpoint: the weights.
        config: settings.
        folder: of the checkpoint; what was found out is kept there if it can be written.
    """

    def __init__(self, checkpoint: Checkpoint, config: Config, folder: Path) -> None:
        self._checkpoint, self._config, self._folder = checkpoint, config, folder
        self._size_px = checkpoint.data_set.size_px
        self._threads = config.threads or len(os.sched_getaffinity(0))

    def choose(self) -> Choice:
        """Return the configured backend, or the first one of the machine's order that agrees."""
        names = backends.order_of_trial() if self._config.backend == "auto" else (self._config.backend,)
        refused: dict[str, str] = {}
        for name in names:
            try:
                backend = self.build(name)
            except BackendUnavailable as error:
                refused[name] = str(error)
            else:
                if name.endswith("fp32"):
                    return Choice(backend, None, refused, self.labeller())
                agreement = self.agreement(backend)
                if agreement >= self._config.least_agreement:
                    return Choice(backend, agreement, refused, self.labeller())
                refused[name] = f"agrees with fp32 at {agreement:.2%} of points only"
            log.warning("backend not taken", extra={"backend": name, "reason": refused[name]})
        return Choice(self.build("torch-fp32"), None, refused, self.labeller())

    def build(self, name: str) -> Backend:
        """Build a backend by name.

        Raises:
            BackendUnavailable: it cannot be had here.
        """
        if name == "native-int8":
            return self._native()
        if name.startswith("openvino"):
            try:
                return backends.OpenVinoBackend(
                    self._network, self._size_px, "bf16" if name.endswith("bf16") else "f32", self._threads
                )
            except ImportError as error:
                raise BackendUnavailable("openvino is not installed") from error
        if name == "cuda":
            if not torch.cuda.is_available():
                raise BackendUnavailable("there is no GPU that torch can use")
            return backends.CudaBackend(self._network, self._size_px)
        return backends.torch_backend(self._network, torch.bfloat16 if name == "torch-bf16" else torch.float32)

    def agreement(self, backend: Backend) -> float:
        """Return at which share of points each mask of a backend is that of fp32, the worse mask's."""
        exact = backends.torch_backend(self._network, torch.float32)
        same: dict[str, list[float]] = {}
        for picture in self._pictures[1]:
            found, expected = backend.run(picture).argmax(0), exact.run(picture).argmax(0)
            for region, labels in self._config.regions[self._checkpoint.data_set.name].items():
                equal = np.isin(found, labels) == np.isin(expected, labels)
                same.setdefault(region, []).append(float(equal.mean()))
        return min(float(np.mean(shares)) for shares in same.values())

    def labeller(self) -> Labeller:
        """Return the kernels' way to label pixels where they run, else numpy's, which is coarser on large pictures."""
        built = library.find_or_build() if library.has_vnni() else None
        if built is None:
            return postprocess.labels_of
        return partial(decide.labels_of, library=library.load(built), threads=self._threads)

    @cached_property
    def _network(self) -> Network:
        return self._checkpoint.network()

    @cached_property
    def _pictures(self) -> tuple[list[Pixels], list[Pixels]]:
        """Pictures to calibrate on, and others to compare on."""
        count, folder = self._config.calibration_pictures, self._folder / self._config.calibration_folder
        files = sorted([*folder.glob("*.jpg"), *folder.glob("*.png")])[:count]
        read = [cv2.imread(str(file), cv2.IMREAD_COLOR_RGB) for file in files]
        made = [_letterboxed(np.asarray(each, np.uint8), self._size_px) for each in read if each is not None]
        if len(made) < 2:
            made = [draw_figure(self._size_px, FIRST_SEED + number)[0] for number in range(count)]
        kept = max(1, len(made) // 4)
        return made[:-kept], made[-kept:]

    def _native(self) -> Backend:
        if not library.has_vnni():
            raise BackendUnavailable("the processor has no AVX-512 VNNI")
        built = library.find_or_build()
        if built is None:
            raise BackendUnavailable("the kernels are not built, and there is no C compiler")
        return backends.NativeBackend(self._network, self._ranges(), self._size_px, built, self._threads)

    def _ranges(self) -> Ranges:
        """Find the ranges, or read those that were found before for this checkpoint and these pictures."""
        pictures = self._pictures[0]
        name = f"schp-ranges-{RANGES_VERSION}-{self._checkpoint.sha256[:16]}-{library.hash_of(*pictures)}.pt"
        for folder in (self._folder, library.CACHE):
            if (known := _read_ranges(folder / name)) is not None:
                return known
        tensors = [torch.from_numpy(normalise(picture)) for picture in pictures]
        found = calibrate(plan_of(self._network), tensors)
        _keep_ranges(found, name, (self._folder, library.CACHE))
        return found


def _letterboxed(picture: Pixels, size_px: int) -> Pixels:
    return letterbox(picture, Letterbox(picture.shape[1], picture.shape[0], size_px))


def _read_ranges(path: Path) -> Ranges | None:
    """Read kept ranges; a file that is broken counts as none."""
    try:
        stored = torch.load(path, weights_only=True)
        scales = {name: Scale(*tensors) for name, tensors in stored["scales"].items()}
        return Ranges(scales, dict(stored["tap_factors"]))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError):
        return None


def _keep_ranges(ranges: Ranges, name: str, folders: Sequence[Path]) -> None:
    scales: Mapping[str, list[torch.Tensor]] = {
        key: [scale.step, scale.zero, scale.mean] for key, scale in ranges.scales.items()
    }
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fresh = folder / f"{name}.{os.getpid()}.new"
            torch.save({"scales": dict(scales), "tap_factors": ranges.tap_factors}, fresh)
            fresh.replace(folder / name)
        except (OSError, RuntimeError):
            continue
        return
