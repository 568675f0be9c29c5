"""Requests for portraits, and what fal's stand-in knows about its jobs."""

import base64
import io
from typing import Any

from PIL import Image

from local.demo import PORTRAITS, identity_packet

PORTRAIT = PORTRAITS / "grace_hopper.jpg"

#: As the app sends them.
LIGHTING = {"direction": "side", "ambient": "warm_sunset", "intensity": "medium", "temperature": 3500}

#: A job that fails for the moment.
BROKEN = {"kind": "status", "status": 500, "code": "internal_server_error", "message": "oops"}


def request(**changes: Any) -> dict[str, Any]:
    """Return the body of a request; every call is another shot."""
    body = {
        "identity_packet": identity_packet(PORTRAIT),
        "master_prompt": "Same facial identity as the reference, a sailor on a quay",
        "negative_prompt": "other person, cartoon",
        "lighting_params": LIGHTING,
    }
    return body | changes


def with_picture(image: Image.Image, box: dict[str, float] | None = None) -> dict[str, Any]:
    """Return an identity packet with another picture."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=95)
    packet = identity_packet(PORTRAIT)
    packet["image"]["cleanFace"] = base64.b64encode(buffer.getvalue()).decode()
    if box is not None:
        packet["facialData"]["boundingBox"] = box
    return packet


def jobs_of(studio, task_id: str) -> list[dict[str, Any]]:
    """Return fal's jobs that a task has bought, the oldest first."""
    return [job for job in studio.stand_ins.get("/_fal/jobs").json() if task_id in (job["webhook_url"] or "")]


def execution(studio, task_id: str) -> dict[str, Any]:
    """Return a portrait's execution."""
    prefix = studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:")
    return studio.aws("stepfunctions").describe_execution(executionArn=f"{prefix}identity-portrait:{task_id}")


def bought(studio) -> int:
    """Return how many jobs were bought since the test began, or tried to."""
    return studio.calls().get("fal", 0)
