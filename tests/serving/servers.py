"""Model servers as processes of their own, as a container runs them."""

import base64
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from local.environment import inherited
from local.place import ROOT

#: A process that does not do in this time what a test waits for never will, seconds.
PATIENCE_S = 20.0

PICTURE = b"picture"


class Server:
    """A model server.

    Args:
        model: class of `tests.serving.toys`, or a whole path.
        folder: for its log and its weights.
        port: to listen on; 0 for any that is free.
        settings: variables of `Settings`, in small letters.
    """

    def __init__(self, model: str, folder: Path, *, port: int = 0, env: dict[str, str] | None = None, **settings: Any):
        self.port = port or _free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._log = folder / f"{model.rsplit(':', 1)[-1]}-{self.port}.log"
        path = model if ":" in model else f"tests.serving.toys:{model}"
        command = [sys.executable, "-m", "sagemaker_models.serving", "serve", "--model", path]
        command += ["--weights", str(folder), "--host", "127.0.0.1", "--port", str(self.port)]
        variables = {"PYTHONPATH": str(ROOT), **(env or {})}
        variables |= {name.upper(): str(value) for name, value in settings.items()}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=inherited() | variables, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )
        self.http = httpx.Client(base_url=self.origin, timeout=PATIENCE_S, trust_env=False)
        self._threads = ThreadPoolExecutor(16)

    def until_ready(self) -> "Server":
        until(lambda: self.ping()[0] == 200)
        return self

    def ping(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of /ping; status 0 if nobody answers."""
        try:
            answer = self.http.get("/ping")
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, answer.json() if answer.content else {}

    def post(self, body: Any, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post("/invocations", content=content, **options)

    def ask(self, /, **changes: Any) -> httpx.Response:
        """Send a good request, with changes."""
        return self.post(request(**changes))

    def ask_later(self, /, **changes: Any) -> "Future[httpx.Response]":
        """Send a request in a thread, again and again until it is let in."""

        def ask() -> httpx.Response:
            while True:
                answer = self.ask(**changes)
                if answer.json().get("error", {}).get("code") != "Overloaded":
                    return answer

        return self._threads.submit(ask)

    def post_later(self, body: Any) -> "Future[httpx.Response]":
        """Send a body in a thread."""
        return self._threads.submit(self.post, body)

    def until_full(self) -> None:
        """Wait until nobody is let in any more.

        It is asked with what is answered at once if it is let in; meanwhile that may keep another request out, which is
        why those of `ask_later` come again.
        """
        until(lambda: self.post(b"no JSON").status_code == 503)

    def entered(self, gate: str) -> bool:
        """Tell whether a model of the `Gated` kind waits at a gate, or has gone through it."""
        return (self._folder / f"{gate}.entered").exists()

    def open_gate(self, gate: str) -> None:
        """Let a model of the `Gated` kind go on."""
        (self._folder / gate).touch()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def text(self) -> str:
        return self._log.read_text()

    def until_logged(self, message: str) -> dict[str, Any]:
        def logged() -> dict[str, Any] | None:
            lines = self._log.read_text().splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith("\n")]
            return next((line for line in whole if line.get("message") == message), None)

        return until(logged)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self._threads.shutdown()
        self.http.close()


def request(*, wishes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a good request, with changes; `wishes` are its parameters."""
    inputs = {"image": {"base64": base64.b64encode(PICTURE).decode()}}
    return {"id": "task.mask.1", "model": "echo", "inputs": inputs, "parameters": wishes or {}} | changes


def until(look: Callable[[], Any]) -> Any:
    """Look until there is something, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
