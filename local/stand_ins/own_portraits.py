"""Stand-in of FLUX with PuLID: what the paid route's stand-in draws, behind the wire of our own model."""

import secrets
from typing import Any

import cv2
import numpy as np

from backlot.errors import NoFaceFound
from local.stand_ins import faces
from local.stand_ins.faces import Pixels
from local.stand_ins.fal_models import harmonized, portrait
from local.stand_ins.model import StandInModel, picture
from sagemaker_models.flux.licences import licences_of
from sagemaker_models.flux.parameters import FluxParameters, Order, Refused, order_of
from sagemaker_models.serving.model import File, ModelError, Outputs, Request

#: Seeds that are drawn are below this, as the real one's are.
SEEDS = 2**32


class OwnPortraits(StandInModel):
    """Portraits without weights; refuses what FLUX dev would refuse, and counts the steps that it would run."""

    name = "flux"
    Parameters = FluxParameters
    inputs: tuple[str, ...] = ()
    optional_inputs = ("portrait", "image")

    def describe(self) -> dict[str, Any]:
        """Say that it is a stand-in, and what the real one's licences would be."""
        about = {"variant": "dev", "identity": True, "licences": licences_of("dev", identity=True)}
        return {**super().describe(), **about}

    def answer(self, request: Request) -> Outputs | ModelError:
        """Draw a portrait, or go over a picture."""
        asked: FluxParameters = request.parameters
        given = {name: picture(data) for name, data in request.inputs.items()}
        whose, image = given.get("portrait"), given.get("image")
        size = None if image is None else (image.shape[1], image.shape[0])
        try:
            order = order_of(asked, "dev", portrait=whose is not None, image_size=size)
        except Refused as error:
            return ModelError(error.code, str(error))
        found = None if whose is None else faces.find_faces(whose)
        if found == []:
            raise NoFaceFound
        seed = secrets.randbelow(SEEDS) if asked.seed is None else asked.seed
        for step in range(order.steps_run + 1):
            request.progress(step / (order.steps_run + 1))
        pixels = _drawn(order, whose, image, seed)
        body = faces.encode(pixels, order.width, order.height, prompt=order.prompt, output_format=asked.output_format)
        values = {
            "width": order.width,
            "height": order.height,
            "seed": seed,
            "steps": order.steps,
            "steps_run": order.steps_run,
            "guidance_scale": order.guidance,
            "max_sequence_length": order.tokens,
            "identity": {"box": _sides(found[0]), "faces": len(found)} if found else None,
            "warnings": list(order.warnings),
        }
        return Outputs({"image": File(body, f"image/{asked.output_format}")}, values)


def _drawn(order: Order, whose: Pixels | None, image: Pixels | None, seed: int) -> Pixels:
    if image is not None and order.strength is not None:
        resized = cv2.resize(image, (order.width, order.height), interpolation=cv2.INTER_AREA)
        return harmonized(np.asarray(resized, np.uint8), order.strength, seed)
    # Without a portrait there is nobody to be seen.
    reference = np.full((order.height, order.width, 3), 128, np.uint8) if whose is None else whose
    return portrait(reference, order.prompt.lower(), order.width, order.height)


def _sides(face: faces.FaceBox) -> list[float]:
    return [round(side, 1) for side in (face.left, face.top, face.right, face.bottom)]
