"""Under which licences FLUX and PuLID's parts are, and what is left for commercial use.

Source: black-forest-labs/flux, `README.md` and `model_licenses/LICENSE-FLUX1-dev`; ToTheBeginning/PuLID, `LICENSE` and
`docs/pulid_for_flux.md`; insightface, `model_zoo/README.md`; xinntao/facexlib, `LICENSE`; all read 2026-11-21.
"""

from typing import Literal, TypedDict

Variant = Literal["schnell", "dev"]


class Licence(TypedDict):
    """One part's licence.

    Args:
        part: of the weights.
        licence: its name.
        commercial: whether it allows commercial use; None if that is not known to us.
        instead: what may be used instead; empty where nothing is needed.
    """

    part: str
    licence: str
    commercial: bool | None
    instead: str


_SCHNELL: Licence = {"part": "FLUX.1 schnell", "licence": "Apache-2.0", "commercial": True, "instead": ""}
_DEV: Licence = {
    "part": "FLUX.1 dev",
    "licence": "FLUX.1 [dev] Non-Commercial License v1.1.1: no commercial or production use and no biometric "
    "processing (4a), a content filter or a review of what is made (2e); pictures may be used commercially (2d)",
    "commercial": False,
    "instead": "FLUX.1 schnell, for pictures without an identity (PuLID's authors support dev only); or a licence of "
    "Black Forest Labs",
}
_IDENTITY: tuple[Licence, ...] = (
    {
        "part": "antelopev2 (insightface's face models)",
        "licence": "non-commercial research only",
        "commercial": False,
        "instead": "a licence of insightface, or the route over fal: PuLID's weights were trained with this embedder, "
        "so that another one needs other weights of PuLID, and none are known to us",
    },
    {
        "part": "PuLID for FLUX",
        "licence": "Apache-2.0; with FLUX.1 dev, that one's licence too",
        "commercial": True,
        "instead": "",
    },
    {"part": "EVA02-CLIP-L-14-336", "licence": "MIT", "commercial": True, "instead": ""},
    {
        "part": "facexlib's face parser",
        "licence": "code MIT; of the weights and what they were trained with, none is stated",
        "commercial": None,
        "instead": "ask before commercial use",
    },
)


def licences_of(variant: Variant, *, identity: bool) -> list[Licence]:
    """Return the licences of all parts that are loaded.

    Args:
        variant: of FLUX.
        identity: whether PuLID's parts are there.
    """
    return [_SCHNELL if variant == "schnell" else _DEV, *(_IDENTITY if identity else ())]
