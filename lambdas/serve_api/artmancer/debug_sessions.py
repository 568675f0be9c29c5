"""What the routes of debug sessions answer: to the key that asked for a session, and to nobody else."""

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.aws.debug_sessions import KeptFile
from backlot.errors import ImageNotFetched
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer.debug_views import (
    DebugCleanup,
    DebugDeleted,
    DebugSession,
    DebugSessionEntry,
    DebugSessionList,
    DebugStatus,
)
from lambdas.serve_api.artmancer.editor import answer
from lambdas.serve_api.artmancer.pictures import MAX_PICTURE_BYTES
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import BadRequest, OldRefusal, problem

METADATA, LOG = "metadata.json", "lora_debug.log"

#: So many sessions are described in a list, the newest; the others are only named.
DESCRIBED = 50

#: So many are kept by a cleanup that says nothing else.
KEEP_LAST_N = 50

#: Objects are read by so many threads.
_AT_ONCE = 8


class Sessions:
    """The caller's sessions.

    Args:
        deps: of the API.
        router: whose event is at hand.
    """

    def __init__(self, deps: Deps, router: APIGatewayRouter) -> None:
        self._kept = deps.debug_sessions
        self._links = deps.uploads
        self._router = router

    @property
    def owner(self) -> str:
        """Id of the caller's key."""
        return http_requests.owner(self._router.current_event)

    def all(self) -> dict[str, list[KeptFile]]:
        """Return them with their files, newest first."""
        return self._kept.of(self.owner)

    def files(self, name: str) -> list[KeptFile]:
        """Return a session's files.

        Raises:
            OldRefusal: there is no such session of the caller's.
        """
        files = self._kept.files(self.owner, name)
        if not files:
            raise OldRefusal(404, f"Debug session '{name[: http_requests.MAX_ECHO_CHARS]}' not found")
        return files

    def text(self, name: str, files: list[KeptFile], wanted: str) -> str:
        """Return the text of a session's file, empty if it is not there."""
        for file in files:
            if file.name == wanted:
                try:
                    return self._kept.read(self.owner, name, file).decode("utf-8", "replace")
                except ImageNotFetched:
                    return ""
        return ""

    def metadata(self, name: str, files: list[KeptFile]) -> dict[str, Any]:
        """Return what a session says of itself; nothing if it says nothing."""
        return dict(json.loads(self.text(name, files, METADATA) or "{}"))

    def described(self) -> DebugSessionList:
        """Return the list of them."""
        found = self.all()
        newest = list(found.items())[:DESCRIBED]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            told = dict(zip(dict(newest), pool.map(lambda each: self.metadata(*each), newest), strict=True))
        entries = [DebugSessionEntry.of(name, files, told.get(name, {})) for name, files in found.items()]
        return DebugSessionList(enabled=True, sessions=entries, total=len(entries))

    def file(self, name: str, file: KeptFile, content_type: str) -> Response[Any]:
        """Answer with a session's file, or with a link if it is too long for an answer."""
        if file.size_bytes > MAX_PICTURE_BYTES:
            return self._elsewhere(name, file)
        return _bytes(self._kept.read(self.owner, name, file), content_type)

    def archive(self, name: str) -> Response[Any]:
        """Answer with all of a session's files in a ZIP, or with a link to it."""
        buffer = io.BytesIO()
        files = self.files(name)
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                archive.writestr(file.name, self._kept.read(self.owner, name, file))
        if buffer.tell() > MAX_PICTURE_BYTES:
            return self._elsewhere(name, self._kept.keep_archive(self.owner, name, buffer.getvalue()))
        headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
        return _bytes(buffer.getvalue(), "application/zip", **headers)

    def _elsewhere(self, name: str, file: KeptFile) -> Response[Any]:
        location = self._links.link(self._kept.key(self.owner, name, file))
        return Response(302, body="", headers={"Location": location, "Cache-Control": "no-store"})

    def listed(self) -> Response[Any]:
        """Answer with the list of them."""
        return answer(200, self.described())

    def session(self, name: str) -> Response[Any]:
        """Answer with what a session says."""
        files = self.files(name)
        body = DebugSession(
            session_name=name,
            metadata=self.metadata(name, files),
            lora_log=self.text(name, files, LOG),
            image_files=[file.name for file in files if file.is_image],
        )
        return answer(200, body)

    def deleted(self, name: str) -> Response[Any]:
        """Delete a session."""
        self.files(name)
        self._kept.delete(self.owner, [name])
        return answer(200, DebugDeleted(success=True, session_name=name))

    def image(self, name: str, image: str) -> Response[Any]:
        """Answer with a session's picture."""
        for file in self.files(name):
            if file.is_image and file.name == image:
                return self.file(name, file, "image/png")
        raise OldRefusal(404, f"Image {image[: http_requests.MAX_ECHO_CHARS]} not found in session {name}")

    def cleaned_up(self) -> Response[Any]:
        """Delete all but the newest."""
        keep, names = self._keep_last_n(), list(self.all())
        self._kept.delete(self.owner, names[keep:])
        return answer(200, DebugCleanup(enabled=True, deleted=len(names[keep:]), kept=len(names[:keep])))

    def status(self) -> Response[Any]:
        """Answer with how much is kept."""
        found = self.all()
        size_mb = round(sum(file.size_bytes for files in found.values() for file in files) / 2**20, 2)
        body = DebugStatus(enabled=True, base_dir="debug", total_sessions=len(found), total_size_mb=size_mb)
        return answer(200, body)

    def _keep_last_n(self) -> int:
        asked = (self._router.current_event.query_string_parameters or {}).get("keep_last_n", str(KEEP_LAST_N))
        if not (asked.isdecimal() and len(asked) < 10):
            message = "Input should be a whole number, 0 or more"
            raise BadRequest(problem("int_parsing", ["query", "keep_last_n"], message, asked))
        return int(asked)


def _bytes(body: bytes, content_type: str, **headers: str) -> Response[Any]:
    headers = {"Cache-Control": "private, no-store", **headers}
    return Response(200, content_type=content_type, body=body, headers=headers)
