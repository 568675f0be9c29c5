"""Switches the transformer between tasks' checkpoints, without loading the base again."""

import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sagemaker_models.qwen_edit.lora import Lora, is_lora, read_lora
from sagemaker_models.qwen_edit.plan import Lightning
from sagemaker_models.qwen_edit.tensors import read_header
from sagemaker_models.qwen_edit.weights import TaskCheckpoint
from sagemaker_models.qwen_edit.whole import WholeWeights
from sagemaker_models.serving.memory import is_out_of_memory
from sagemaker_models.serving.model import WeightsInvalid


def linears_of(transformer: Any) -> dict[str, tuple[int, int]]:
    """Return (out, in) of a transformer's linear layers, by their names without LoRAs."""
    return {
        name.removesuffix(".base_layer"): (module.out_features, module.in_features)
        for name, module in transformer.named_modules()
        if isinstance(module, torch.nn.Linear) and ".lora_" not in name
    }


def _name(sha256: str) -> str:
    return f"lora-{sha256[:16]}"


@contextmanager
def _several() -> Iterator[None]:
    """Keep peft quiet, which finds it remarkable that a model has several adapters, or loses one of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        warnings.filterwarnings("ignore", message="Adapter .* was active which is now deleted")
        yield


class Adapters:
    """The checkpoints that a pipeline has; one caller at a time.

    Args:
        pipe: a QwenImageEditPlusPipeline, in its place.
        base: files of the base transformer's weights.
        kept: LoRAs that stay loaded, at least two, for a checkpoint and Lightning; those used longest ago go.
    """

    def __init__(self, pipe: Any, base: Sequence[Path], kept: int) -> None:
        self._pipe = pipe
        self._linears = linears_of(pipe.transformer)
        self._whole = WholeWeights(pipe.transformer, base)
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._kept = kept

    @property
    def loaded(self) -> tuple[str, ...]:
        """Return the names of all LoRAs that are loaded, the one used last at the end."""
        return tuple(self._loaded)

    def prepare(self, path: Path, sha256: str) -> None:
        """Load a LoRA before it is asked for; of whole weights, check that they fit.

        Raises:
            WeightsInvalid: it does not fit.
        """
        if is_lora(read_header(path)):
            self._ensure(path, sha256)
        else:
            self._whole.check(path)

    def use(self, checkpoint: TaskCheckpoint, lightning: Lightning | None) -> list[str]:
        """Have a checkpoint, and maybe Lightning over it, and nothing else.

        Args:
            checkpoint: of the task.
            lightning: None without.

        Returns:
            The names of the LoRAs that are at work.

        Raises:
            WeightsInvalid: one of them does not fit.
        """
        scales: dict[str, float] = {}
        if _name(checkpoint.sha256) in self._loaded or is_lora(read_header(checkpoint.path)):
            self._whole.use_base()
            scales[self._ensure(checkpoint.path, checkpoint.sha256)] = checkpoint.config.lora_scale
        else:
            self._whole.use(checkpoint.path, checkpoint.sha256)
        if lightning is not None:
            scales[self._ensure(lightning.path, lightning.sha256)] = 1.0
        if scales:
            self._pipe.enable_lora()
            self._pipe.set_adapters([*scales], [*scales.values()])
        elif self._loaded:
            self._pipe.disable_lora()
        return [*scales]

    def _ensure(self, path: Path, sha256: str) -> str:
        """Load a LoRA if it is not; return its name."""
        name = _name(sha256)
        if name not in self._loaded:
            lora = read_lora(path, self._linears)
            while len(self._loaded) >= self._kept:
                oldest, _ = self._loaded.popitem(last=False)
                self._forget(oldest)
            try:
                self._load(path.name, name, lora)
            except BaseException:
                if name in self._names():
                    self._forget(name)
                raise
        self._loaded[name] = None
        self._loaded.move_to_end(name)
        return name

    def _load(self, file: str, name: str, lora: Lora) -> None:
        try:
            with _several():
                self._pipe.load_lora_weights(lora.state(), adapter_name=name)
        except (ValueError, RuntimeError, KeyError) as error:
            if is_out_of_memory(error):
                raise
            raise WeightsInvalid(f"{file} cannot be loaded as a LoRA: {' '.join(str(error).split())[:200]}") from error
        if name not in self._names():
            raise WeightsInvalid(f"{file} was loaded, but left nothing behind")
        self._widen(file, name, lora)

    def _forget(self, name: str) -> None:
        with _several():
            self._pipe.delete_adapters([name])

    def _names(self) -> list[str]:
        """Return the LoRAs that the pipeline says it has."""
        return [*self._pipe.get_list_adapters().get("transformer", [])]

    def _widen(self, file: str, name: str, lora: Lora) -> None:
        """Give every layer the LoRA's values in bf16; peft makes them of the type of the layer below.

        That type may have 8 bits, in which nothing can be computed.
        """
        transformer = self._pipe.transformer
        for values, kind in ((lora.down, "lora_A"), (lora.up, "lora_B")):
            for module, tensor in values.items():
                adapters = getattr(transformer.get_submodule(module), kind, {})
                if name not in adapters:
                    raise WeightsInvalid(f"{file} was loaded, but {module} has nothing of it")
                weight = adapters[name].weight
                if weight.dtype is not torch.bfloat16:
                    weight.data = tensor.to(weight.device, torch.bfloat16)
