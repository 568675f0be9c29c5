"""mask-face: find the faces of a picture, and paint a black ellipse over one of them."""

from typing import Any

from pydantic import BaseModel

from backlot import pricing, prompts
from backlot.assets import CACHE_CONTROL, MASK_PREFIX, result_key
from backlot.errors import FaceIndexOutOfRange, NoFaceFound, NoFaceMatched, ProviderAnswerInvalid
from backlot.images import codecs, masks
from backlot.providers.boxes import read_boxes
from backlot.providers.qwen_vl import QwenVL
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: The detector gets a copy of at most this size: it looks at about one megapixel, and answers in relative coordinates.
DETECTOR_SIDE_PX = 1536
DETECTOR_QUALITY = 90


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
    answer = run.kept_answer or _find_faces(picture, request.face_position_prompt, run)
    faces = read_boxes(answer["text"])
    if faces is None:
        raise ProviderAnswerInvalid(provider=QwenVL.name, reason="no boxes can be read in its words")
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
    cost = [
        pricing.charge(pricing.price_key(answer["model"], "input"), answer["input_tokens"]),
        pricing.charge(pricing.price_key(answer["model"], "output"), answer["output_tokens"]),
    ]
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
        model=answer["model"],
        cost=cost,
        detail={
            "faces": len(faces),
            "face_index": request.face_index,
            "face_box": [face.left, face.top, face.right, face.bottom],
            "mask_box": [round(side, 1) for side in (ellipse.left, ellipse.top, ellipse.right, ellipse.bottom)],
        },
    )


def _find_faces(picture: codecs.Picture, position: str | None, run: StepRun) -> dict[str, Any]:
    qwen: QwenVL = run.deps.providers[QwenVL.name]
    model = run.deps.models[QwenVL.name]
    with run.watch.time("image_s"):
        copy = codecs.encode_jpeg(picture, max_side=DETECTOR_SIDE_PX, quality=DETECTOR_QUALITY)
        image_url = codecs.data_url("image/jpeg", copy)
    key = run.deps.keys.key(QwenVL.name)
    return run.pay(
        QwenVL.name,
        lambda: qwen.find_faces(key=key, model=model, prompt=prompts.find_faces(position), image_url=image_url),
    )


STEP = Step(name="mask-face", input=MaskFaceInput, run=mask_face, provider=QwenVL.name)
