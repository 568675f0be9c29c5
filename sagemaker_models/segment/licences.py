"""Under which licences SAM 2.1 and the networks for backgrounds are.

Source: facebookresearch/sam2, `README.md`; xuebinqin/U-2-Net, `LICENSE`; xuebinqin/DIS, `LICENSE.md` and `README.md`;
ZhengPeng7/BiRefNet, `LICENSE`; all read 2026-11-21.
"""

from sagemaker_models.flux.licences import Licence
from sagemaker_models.segment.config import Family

SAM: Licence = {"part": "SAM 2.1", "licence": "Apache-2.0, code and weights", "commercial": True, "instead": ""}

BACKGROUNDS: dict[Family, Licence] = {
    "u2net": {
        "part": "U2-Net",
        "licence": "code Apache-2.0; of the weights and what they were trained with, none is stated",
        "commercial": None,
        "instead": "ask its authors, or take BiRefNet for both qualities",
    },
    "isnet": {
        "part": "IS-Net",
        "licence": "code Apache-2.0; the data set DIS5K, which the weights were trained with, has terms of its own",
        "commercial": None,
        "instead": "ask its authors, or take BiRefNet for both qualities",
    },
    "birefnet": {
        "part": "what best.onnx holds",
        "licence": "MIT if it is BiRefNet; BRIA's RMBG-2.0, which looks the same, is for non-commercial use only",
        "commercial": None,
        "instead": "make sure that the file is ZhengPeng7's BiRefNet",
    },
}
