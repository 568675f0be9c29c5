"""Where results lie in the bucket, and how our own masks are told from other pictures."""

import hashlib
import re
from datetime import UTC, datetime

#: One year, in seconds: a key is never written with other content, so that the CDN and browsers may keep it.
CACHE_CONTROL = "public, max-age=31536000, immutable"

#: Largest image file that is taken in, bytes.
MAX_IMAGE_BYTES = 20_000_000

MASK_PREFIX = "images/face_swap/"
SEEDREAM_PREFIX = "seedream/"
PORTRAIT_PREFIX = "portraits/"
BODY_MASK_PREFIX = "images/body_masks/"
MASKED_EDIT_PREFIX = "images/masked_edits/"
SMART_MASK_PREFIX = "images/smart_masks/"
CUT_OUT_PREFIX = "images/cut_outs/"
COMFYUI_PREFIX = "images/comfyui-results/"

#: What tasks keep that were asked to: conditional images and logs, for their owner's eyes.
DEBUG_PREFIX = "debug/"

#: What models of our own are asked, and where SageMaker puts what they answer; all below the account's own eyes.
MODEL_REQUEST_PREFIX = "model-requests/"
MODEL_RESULT_PREFIX = "model-results/"
MODEL_FAILURE_PREFIX = "model-failures/"

#: Pictures of faces that came within requests; nobody may name them, and they are deleted after an hour.
FACE_PREFIX = "faces/"

#: What clients put into the bucket by a form of ours, and what requests carried themselves.
UPLOAD_PREFIX = "uploads/"
INLINE_PREFIX = "uploads/inline/"

#: File name endings of uploads by content type.
UPLOAD_ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
}

_MASK_KEY = re.compile(re.escape(MASK_PREFIX) + r"[0-9]{8}_[0-9]{6}_[0-9a-f]{16}\.png")

#: File name endings by content type; what SeeDream answers with, and PNG for what we draw ourselves.
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def result_key(prefix: str, task_id: str, step: str, created_ms: int, content_type: str, *, index: int = 0) -> str:
    """Name the object of a step's result: `<prefix><UTC YYYYMMDD_HHMMSS>_<16 hex>.<ending>`.

    The name follows from the task, the step and the picture's place alone, so that a step which is run again after a
    crash writes the same objects and leaves nothing behind; it cannot be guessed without the task's id.

    Args:
        created_ms: when the task was submitted, Unix milliseconds.
        content_type: one of image/png, image/jpeg, image/webp.
        index: which of the step's results, counted from 0.
    """
    moment = datetime.fromtimestamp(created_ms / 1000, UTC)
    name = f"{task_id}/{step}/{index}" if index else f"{task_id}/{step}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{prefix}{moment:%Y%m%d_%H%M%S}_{digest}.{_ENDINGS[content_type]}"


def is_mask_key(key: str | None) -> bool:
    """Tell whether an object key is that of a masked picture of ours."""
    return key is not None and _MASK_KEY.fullmatch(key) is not None


def debug_prefix(owner: str, task_id: str, created_ms: int) -> str:
    """Return below what a task keeps what it was asked to: `debug/<owner>/<UTC YYYYMMDD_HHMMSS>_<8 hex>/`.

    Args:
        owner: id of the API key that submitted it; what other keys' tasks have kept lies elsewhere.
        created_ms: when it was submitted, Unix milliseconds.
    """
    moment = datetime.fromtimestamp(created_ms / 1000, UTC)
    return f"{DEBUG_PREFIX}{owner}/{moment:%Y%m%d_%H%M%S}_{task_id[:8]}/"


def task_checkpoints_prefix(model: str) -> str:
    """Return below what the checkpoints of a model's tasks lie."""
    return f"models/{model}/tasks/"


def task_checkpoint_key(model: str, task: str) -> str:
    """Name the object that says which checkpoint a model is asked to use for a task.

    It is the JSON object `{"uri", "sha256", "config", "published_at"}`; whoever publishes a checkpoint writes it last.
    """
    return f"{task_checkpoints_prefix(model)}{task}.json"


def comfyui_key(operation: str, task_id: str, suffix: str) -> str:
    """Name an object of a task on the GPU lane: `images/comfyui-results/<operation>/<task id><suffix>`.

    Args:
        suffix: tells the task's objects apart and says their type: `.png`, `-2.png`, `-preview.jpg`.
    """
    return f"{COMFYUI_PREFIX}{operation}/{task_id}{suffix}"
