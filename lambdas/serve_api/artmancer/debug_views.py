"""The shapes in which debug sessions are answered: the ArtMancer server's keys."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from backlot.aws.debug_sessions import KeptFile
from backlot.views import View


class DebugSessionEntry(View):
    """A debug session in a list."""

    session_name: str
    created_at: str
    success: bool | None
    task_type: str | None
    generation_time: float | None = Field(description="Seconds.")
    num_images: int

    @classmethod
    def of(cls, name: str, files: Sequence[KeptFile], told: dict[str, Any]) -> "DebugSessionEntry":
        """Describe a session.

        Args:
            files: that it has.
            told: its metadata, empty if they are not known.
        """
        return cls(
            session_name=name,
            created_at=told.get("created_at") or _moment(name),
            success=told.get("success"),
            task_type=told.get("task_type"),
            generation_time=told.get("generation_time"),
            num_images=sum(file.is_image for file in files),
        )


class DebugSessionList(View):
    """Answer of `GET /api/debug/sessions`, newest first."""

    enabled: bool
    sessions: list[DebugSessionEntry]
    total: int


class DebugSession(View):
    """Answer of `GET /api/debug/sessions/{name}`."""

    session_name: str
    metadata: dict[str, Any]
    lora_log: str
    image_files: list[str]


class DebugDeleted(View):
    """Answer of `DELETE /api/debug/sessions/{name}`."""

    success: bool
    session_name: str


class DebugCleanup(View):
    """Answer of `POST /api/debug/cleanup`."""

    enabled: bool
    deleted: int
    kept: int


class DebugStatus(View):
    """Answer of `GET /api/debug/status`."""

    enabled: bool
    base_dir: str
    total_sessions: int
    total_size_mb: float


def _moment(session: str) -> str:
    """Return the time that a session's name says."""
    return datetime.strptime(session[:15], "%Y%m%d_%H%M%S").replace(tzinfo=UTC).isoformat()
