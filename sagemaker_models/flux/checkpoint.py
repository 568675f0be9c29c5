"""The folder of weights: what lies where, and how it is checked and loaded.

    flux/                               diffusers' folder of FLUX.1 schnell or dev, as published
        model_index.json                names FluxPipeline
        scheduler/  tokenizer/  tokenizer_2/
        text_encoder/  text_encoder_2/  transformer/  vae/      each config.json and *.safetensors
    config.yaml                         optional, see the one beside this module

and, for identities, all of:

    pulid_flux_v0.9.1.safetensors       guozinan/PuLID
    eva02_clip_l_336.pt                 QuanSun/EVA-CLIP's EVA02_CLIP_L_336_psz14_s6B.pt; or .safetensors
    antelopev2/scrfd_10g_bnkps.onnx     insightface; the pack's other files are not needed
    antelopev2/glintr100.onnx
    parsing_bisenet.pth                 facexlib, release v0.2.0

A folder without `pulid_flux_v0.9.1.safetensors` has plain FLUX.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

from sagemaker_models.flux import identity, pulid, vision
from sagemaker_models.flux.injection import blocks_of
from sagemaker_models.flux.licences import Variant, licences_of
from sagemaker_models.flux.plan import Placement, Weights
from sagemaker_models.flux.tensors import BROKEN, brief, compare, shapes_of
from sagemaker_models.serving.model import WeightsInvalid

FLUX = "flux"

#: Parts of the pipeline that have weights, beside the transformer.
_OTHERS = ("text_encoder", "text_encoder_2", "vae")


@dataclass(frozen=True)
class Found:
    """What a folder has.

    Args:
        variant: of FLUX, told by whether the transformer is given a guidance.
        weights: how many numbers its parts have.
        has_identity: whether PuLID is there.
    """

    variant: Variant
    weights: Weights
    has_identity: bool


def look(folder: Path, sizes: pulid.Sizes) -> Found:
    """Look what a folder has, by its configurations and the headers of its files.

    Args:
        folder: as the module's text says.
        sizes: of PuLID.

    Raises:
        WeightsInvalid: something is missing, broken or of another model.
    """
    root = folder / FLUX
    kind = _json(root / "model_index.json").get("_class_name")
    if kind != "FluxPipeline":
        raise WeightsInvalid(f"{root} holds a {kind}, expected the FluxPipeline of FLUX.1 schnell or dev")
    others = {name: shapes_of(root / name) for name in _OTHERS}
    counts = [sum(shape.numel() for shape in shapes.values()) for shapes in others.values()]
    transformer = _empty_transformer(root)
    compare(shapes_of(root / "transformer"), transformer, f"{FLUX}/transformer")
    has_identity = identity.is_there(folder)
    weights = Weights(
        transformer=sum(each.numel() for each in transformer.parameters()),
        others=sum(counts),
        largest_other=max(counts),
        identity=identity.numbers(folder) if has_identity else 0,
    )
    if has_identity:
        _check_places(transformer, sizes)
    return Found("dev" if transformer.config.guidance_embeds else "schnell", weights, has_identity)


def load(folder: Path, placement: Placement) -> Any:
    """Load FLUX.

    Returns:
        diffusers' `FluxPipeline`, in its place.

    Raises:
        WeightsInvalid: a part is missing, or broken, or not whole.
    """
    # diffusers writes the end of a long prompt into its log.
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    root, dtype = folder / FLUX, getattr(torch, placement.dtype)
    transformer = _part(FluxTransformer2DModel, root / "transformer", torch_dtype=dtype)
    if placement.fp8:
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
    if not placement.offload:
        transformer.to(placement.device)
    made = FluxPipeline(
        transformer=transformer,
        text_encoder=_part(transformers.CLIPTextModel, root / "text_encoder", dtype=dtype),
        text_encoder_2=_part(transformers.T5EncoderModel, root / "text_encoder_2", dtype=dtype),
        vae=_part(AutoencoderKL, root / "vae", torch_dtype=dtype),
        tokenizer=_whole(transformers.CLIPTokenizer, root / "tokenizer"),
        tokenizer_2=_whole(transformers.T5TokenizerFast, root / "tokenizer_2"),
        scheduler=_whole(FlowMatchEulerDiscreteScheduler, root / "scheduler"),
    )
    if placement.offload:
        made.enable_model_cpu_offload(device=placement.device)
    else:
        made.to(placement.device)
    return made


def check(
    path: Path, sizes: pulid.Sizes = pulid.PUBLISHED, tower_sizes: vision.Sizes = vision.PUBLISHED
) -> dict[str, Any]:
    """Check a folder before it is published; what only a run would show is not found.

    Returns:
        What it is, and the licences of its parts.

    Raises:
        WeightsInvalid: something is missing, broken or of another model.
    """
    found = look(path, sizes)
    if found.has_identity:
        identity.load(path, sizes=sizes, tower_sizes=tower_sizes, device="cpu", dtype=torch.bfloat16)
    licences = licences_of(found.variant, identity=found.has_identity)
    return {"variant": found.variant, "identity": found.has_identity, "licences": licences}


def _empty_transformer(root: Path) -> Any:
    config = _json(root / "transformer" / "config.json")
    try:
        with torch.device("meta"):
            return FluxTransformer2DModel.from_config(config)
    except (TypeError, ValueError) as error:
        raise WeightsInvalid(f"{FLUX}/transformer/config.json describes no transformer of FLUX: {error}") from error


def _check_places(transformer: Any, sizes: pulid.Sizes) -> None:
    places, width = len(blocks_of(transformer)), transformer.inner_dim
    if (places, width) != (sizes.modules, sizes.image):
        raise WeightsInvalid(
            f"PuLID has {sizes.modules} modules of width {sizes.image}, and this transformer {places} places of {width}"
        )


def _part(kind: Any, folder: Path, **options: Any) -> Any:
    """Load a part, all of its weights."""
    made, told = _whole(kind, folder, output_loading_info=True, **options)
    absent = sorted(map(str, told["missing_keys"])) + sorted(map(str, told["mismatched_keys"]))
    if absent:
        raise WeightsInvalid(f"{FLUX}/{folder.name} lacks {len(absent)} of its weights, such as {absent[0]}")
    return made.eval().requires_grad_(requires_grad=False)


def _whole(kind: Any, folder: Path, **options: Any) -> Any:
    if not folder.is_dir():
        raise WeightsInvalid(f"{folder} is missing; copy the published folder as a whole")
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except BROKEN as error:
        raise WeightsInvalid(f"{FLUX}/{folder.name} cannot be loaded: {brief(error)}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsInvalid(f"{path} cannot be read: {brief(error)}; copy the published folder as a whole") from error
    if not isinstance(found, dict):
        raise WeightsInvalid(f"{path} is no JSON object")
    return found
