"""face-mask: hide one face of a picture under a black ellipse."""

from backlot import pricing
from backlot.operations._operation import FaceIndex, FacePositionPrompt, ImageUrl, Lane, Operation, OperationRequest
from backlot.tasks import CostItem


class FaceMaskRequest(OperationRequest):
    """A picture, and which of its faces to hide."""

    image_url: ImageUrl
    face_position_prompt: FacePositionPrompt = None
    face_index: FaceIndex = 0


def find_faces_estimate() -> list[CostItem]:
    """Price one detection: a picture of one megapixel (32 px by 32 px a token), our prompt, one box."""
    return [pricing.charge("qwen3-vl-plus/input", 1024 + 180), pricing.charge("qwen3-vl-plus/output", 60)]


OPERATION = Operation(
    name="face-mask",
    title="Mask a face",
    description=(
        "Finds the faces of a picture with Qwen3-VL and paints a black ellipse over one of them, from the forehead to "
        "the chin. The result is a PNG of the picture's own size, upright, and is what `face-swap` takes."
    ),
    lane=Lane.PAID,
    request=FaceMaskRequest,
    steps=("mask-face",),
    providers=("dashscope",),
    transitions=3,
    estimate=find_faces_estimate,
    example={"image_url": "https://example.com/scene.jpg", "face_index": 0},
)
