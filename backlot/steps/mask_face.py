"""mask-face: find the faces of a picture, and paint a black ellipse over one of them."""

from pydantic import BaseModel

from backlot import prompts
from backlot.assets import CACHE_CONTROL, MASK_PREFIX, result_key
from backlot.errors import FaceIndexOutOfRange, NoFaceFound, NoFaceMatched
from backlot.images import codecs, masks
from backlot.providers.qwen_vl import QwenVL
from backlot.steps import _boxes
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput


class MaskFaceInput(BaseModel):
    """A picture, and which of its faces to hide, counted from 0 among those that are described, or among all."""

    image_url: str
    face_position_prompt: str | None = None
    face_index: int = 0


def mask_face(request: MaskFaceInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        NoFaceFound: the detector names no face.
        NoFaceMatched: it names none that the request describes.
        FaceIndexOutOfRange: it names fewer.
        ProviderAnswerInvalid: its answer cannot be read.
        backlot.errors.BacklotError: the image cannot be had or read, or the provider fails; see those modules.
    """
    picture = run.picture(request.image_url)
    found = _boxes.find(picture, prompts.find_faces(request.face_position_prompt), run)
    faces = found.boxes
    if not faces:
        raise NoFaceMatched() if request.face_position_prompt else NoFaceFound()
    if request.face_index >= len(faces):
        raise FaceIndexOutOfRange(face_index=request.face_index, faces=len(faces))
    with run.watch.time("image_s"):
        face = masks.box_in_pixels(faces[request.face_index], picture.width, picture.height)
        pixels, ellipse = masks.mask_face(picture.pixels, face)
        masked = codecs.encode_png(codecs.Picture(pixels, picture.icc_profile))
    key = result_key(MASK_PREFIX, run.task_id, STEP.name, run.created_ms, "image/png")
    with run.watch.time("store_s"):
        run.deps.objects.put(key, masked, content_type="image/png", cache_control=CACHE_CONTROL)
    return StepOutput(
        step=STEP.name,
        images=[
            MadeImage(
                result_url=run.deps.images.url(key),
                width=picture.width,
                height=picture.height,
                content_type="image/png",
            )
        ],
        provider=QwenVL.name,
        model=found.model,
        cost=found.cost,
        detail={
            "faces": len(faces),
            "face_index": request.face_index,
            "face_box": [face.left, face.top, face.right, face.bottom],
            "mask_box": [round(side, 1) for side in (ellipse.left, ellipse.top, ellipse.right, ellipse.bottom)],
        },
    )


STEP = Step(name="mask-face", input=MaskFaceInput, run=mask_face, provider=QwenVL.name)
