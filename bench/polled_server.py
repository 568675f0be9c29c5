"""A server as the replaced ones were: it starts a job, forgets nobody, and is asked until the job is done."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

#: The replaced adapter asked its server this often, and the client asked the orchestrator as often.
PERIOD_S = 2.0

#: Longest time that a polled job may take, seconds.
LIMIT_S = 60.0


class PolledServer:
    """`POST /` starts a job and answers its id, `GET /<id>` its status; it knows nothing but its own memory.

    Args:
        job: what it does with a body; returns the result's URL.
    """

    def __init__(self, job: Callable[[dict[str, Any]], str]) -> None:
        self.requests = 0
        self._job = job
        self._results: dict[str, str | None] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self, body: dict[str, Any]) -> dict[str, Any]:
        """Start a job in the background."""
        self.requests += 1
        job_id = str(uuid.uuid4())
        self._results[job_id] = None
        threading.Thread(target=self._run, args=(job_id, body), daemon=True).start()
        return {"job_id": job_id}

    def read(self, job_id: str) -> dict[str, Any]:
        """Return a job's status."""
        self.requests += 1
        return {"result_url": self._results[job_id]}

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()

    def _run(self, job_id: str, body: dict[str, Any]) -> None:
        self._results[job_id] = self._job(body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, polled: PolledServer, *arguments: Any) -> None:
        self._polled = polled
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self._polled.start(json.loads(body)))

    def do_GET(self) -> None:
        self._answer(self._polled.read(self.path.removeprefix("/")))

    def log_message(self, *_: Any) -> None:
        """Write nothing."""

    def _answer(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def poll(url: str, body: dict[str, Any], first_s: float = 0.0) -> str:
    """Submit to a polled server and ask until the result is there.

    Args:
        first_s: pause before the first question, seconds.

    Raises:
        TimeoutError: there is no result after `LIMIT_S`.
    """
    deadline = time.monotonic() + LIMIT_S
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as http:
        job_id = http.post("/", json=body).raise_for_status().json()["job_id"]
        time.sleep(first_s)
        while time.monotonic() < deadline:
            result = http.get(f"/{job_id}").raise_for_status().json()["result_url"]
            if result:
                return str(result)
            time.sleep(PERIOD_S)
    raise TimeoutError(f"{url} has no result after {LIMIT_S:.0f} s")
