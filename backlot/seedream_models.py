"""SeeDream's models: what each of them takes, and which of them a stage offers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

#: How clients of the replaced servers called SeeDream, whichever model that was.
ANY_MODEL = "seedream"

#: Reference pictures and pictures asked for, together in one request.
MAX_PICTURES = 15


@dataclass(frozen=True)
class SeedreamModel:
    """What a model takes.

    Args:
        alias: its short name.
        family: the part that its ids have in common, whatever vendor and date stand around it.
        ids: known ids, that of Volcano Engine Ark first, then those of BytePlus ModelArk.
        tiers: names of resolutions whose shape the model chooses itself.
        min_px: smallest product of width and height.
        max_px: largest product of width and height.
        max_references: most reference pictures.
        max_images: most pictures of one request; 1 for a model without batches.
        formats: what `output_format` may be; a model of one format does not know the field.
    """

    alias: str
    family: str
    ids: tuple[str, ...]
    tiers: tuple[str, ...]
    min_px: int
    max_px: int
    max_references: int
    max_images: int
    formats: tuple[str, ...]


#: By alias. Where sources differ, the stricter one holds: for 5.0 lite "3K" and 10.4 megapixels, not "4K" and 16.8.
#: Sources: the vendors' SDKs `volcengine-ark-runtime` and `byteplus-python-sdk-v2` (ids, fields); Comfy-Org/ComfyUI
#: `comfy_api_nodes/nodes_bytedance.py` at 372f645 (sizes); live tests that a public project reports of 2026-09-18 to 23
#: (references, batches, formats). Read 2026-11-20.
MODELS: dict[str, SeedreamModel] = {
    model.alias: model
    for model in (
        SeedreamModel(
            alias="4.0",
            family="seedream-4-0",
            ids=("doubao-seedream-4-0-250828", "seedream-4-0-250828"),
            tiers=("1K", "2K", "4K"),
            min_px=921_600,
            max_px=16_777_216,
            max_references=14,
            max_images=15,
            formats=("jpeg",),
        ),
        SeedreamModel(
            alias="4.5",
            family="seedream-4-5",
            ids=("doubao-seedream-4-5-251128", "seedream-4-5-251128"),
            tiers=("2K", "4K"),
            min_px=3_686_400,
            max_px=16_777_216,
            max_references=14,
            max_images=15,
            formats=("jpeg",),
        ),
        SeedreamModel(
            alias="5.0-lite",
            family="seedream-5-0",
            ids=("doubao-seedream-5-0-260128", "doubao-seedream-5-0-lite-260128", "seedream-5-0-260128"),
            tiers=("2K", "3K"),
            min_px=3_686_400,
            max_px=10_404_496,
            max_references=14,
            max_images=15,
            formats=("png", "jpeg"),
        ),
        SeedreamModel(
            alias="5.0-pro",
            family="seedream-5-0-pro",
            ids=("doubao-seedream-5-0-pro-260628", "seedream-5-0-pro-260628", "dola-seedream-5-0-pro-260628"),
            tiers=("1K", "1.5K", "2K"),
            min_px=921_600,
            max_px=4_624_220,
            max_references=10,
            max_images=1,
            formats=("png", "jpeg"),
        ),
        SeedreamModel(
            alias="5.0-flash",
            family="seedream-5-0-flash",
            ids=("doubao-seedream-5-0-flash-260915", "seedream-5-0-flash-260915"),
            tiers=("1K", "1.5K", "2K"),
            min_px=921_600,
            max_px=4_624_220,
            max_references=10,
            max_images=1,
            formats=("png", "jpeg"),
        ),
    )
}

#: What a stage offers unless it says otherwise, by alias. Nobody has published what 5.0 flash costs.
OFFERED: dict[str, str] = {alias: MODELS[alias].ids[0] for alias in ("4.0", "4.5", "5.0-lite", "5.0-pro")}


def model_of(model_id: str) -> SeedreamModel | None:
    """Return the model of an id, whatever vendor prefix, date or remark it carries; None for an unknown one."""
    known = [model for model in MODELS.values() if model.family in model_id]
    return max(known, key=lambda model: len(model.family), default=None)


@dataclass(frozen=True)
class OfferedModels:
    """The models of a stage.

    Args:
        default: id of the model that is asked when a request names none.
        ids: by alias, the id under which the stage asks the model: a model id, or `ep-…`, an endpoint of its own.
    """

    default: str = OFFERED["4.0"]
    ids: Mapping[str, str] = field(default_factory=lambda: OFFERED)

    @classmethod
    def of(cls, default: str, ids: str) -> Self:
        """Read them from settings: `alias=id`, separated by commas."""
        return cls(default, dict(pair.split("=", 1) for pair in ids.split(",")))

    def id_of(self, name: str | None) -> str | None:
        """Return the id for what a request names: nothing, `seedream`, an alias or an id; None if it is not offered."""
        if not name or name == ANY_MODEL:
            return self.default
        if name == self.default or name in self.ids.values():
            return name
        model = MODELS.get(name) or next((model for model in MODELS.values() if name in model.ids), None)
        return self.ids.get(model.alias) if model else None

    def limits(self, model_id: str) -> SeedreamModel:
        """Return what the model of an id takes; an endpoint of unknown model is taken for 4.0."""
        alias = next((alias for alias, known in self.ids.items() if known == model_id), "")
        return MODELS.get(alias) or model_of(model_id) or MODELS["4.0"]
