"""Stand-in of fal's queue: submit, status, result, cancel, and webhooks that are signed as fal signs them.

`GET /_fal/jobs` shows the jobs, with the webhook's URL that each was given. `POST /_fal/signed` signs a body. Faults:
`fal` for submissions (`lost-answer` takes the job and drops the connection), `fal-job` for jobs (`status` fails one,
`flagged` flags its picture), `fal-webhook` for webhooks (`lost`, `doubled`, `forged`), `fal-status` and `fal-files`.
"""

import asyncio
import base64
import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from nacl.signing import SigningKey

from local.stand_ins import fal_models
from local.stand_ins.faults import Fault, Faults, drop

#: How long a job waits in the queue, seconds.
QUEUED_S = 0.3

#: Pauses before a webhook that was not taken is sent again, seconds; fal takes two hours for ten of them.
RETRIES_S = (0.5, 1.0, 2.0)


@dataclass
class Job:
    """A job."""

    request_id: str
    model: str
    arguments: dict[str, Any]
    webhook_url: str | None
    status: str = "IN_QUEUE"
    code: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    deliveries: list[int] = field(default_factory=list)
    work: asyncio.Task[None] | None = None


class Fal:
    """The part of the queue that Backlot uses.

    Args:
        key: the only key that is accepted.
        origin: where it answers.
        faults: what is to go wrong.
    """

    def __init__(self, key: str, origin: str, faults: Faults) -> None:
        self._key = key
        self._origin = origin
        self._faults = faults
        self._jobs: dict[str, Job] = {}
        self._files: dict[str, bytes] = {}
        self._signing = SigningKey.generate()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        job = "/fal-queue/{owner}/{app}/requests/{id}"
        return [
            web.get(job + "/status", self.status),
            web.put(job + "/cancel", self.cancel),
            web.get(job, self.result),
            web.post("/fal-queue/{model:.+}", self.submit),
            web.get("/fal/files/{name}", self.download),
            web.get("/fal/.well-known/jwks.json", self.keys),
            web.get("/_fal/jobs", self.list_jobs),
            web.post("/_fal/signed", self.sign_for_tests),
        ]

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Take a job."""
        model = request.match_info["model"]
        if request.headers.get("Authorization") != f"Key {self._key}":
            return web.json_response({"detail": "Invalid API key"}, status=401)
        if model not in fal_models.MODELS:
            return web.json_response({"detail": f"Application {model} not found"}, status=404)
        arguments = json.loads(await request.text())
        fault = await self._faults.next("fal")
        if fault and fault.kind == "status":
            return _refused(fault)
        if fault and fault.kind == "reset":
            drop(request)
            return web.Response()
        job = Job(str(uuid.uuid4()), model, arguments, request.query.get("fal_webhook"))
        self._jobs[job.request_id] = job
        job.work = asyncio.create_task(self._work(job))
        if fault and fault.kind == "lost-answer":
            drop(request)
            return web.Response()
        # Only owner and app are in the addresses of a job.
        url = f"{self._origin}/fal-queue/{'/'.join(model.split('/')[:2])}/requests/{job.request_id}"
        return web.json_response(
            {
                "request_id": job.request_id,
                "gateway_request_id": job.request_id,
                "status": "IN_QUEUE",
                "queue_position": 0,
                "status_url": f"{url}/status",
                "response_url": url,
                "cancel_url": f"{url}/cancel",
            }
        )

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Tell how far a job is."""
        fault = await self._faults.next("fal-status")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        job = self._find(request)
        if job is None:
            return _unknown()
        done = job.status == "COMPLETED"
        body: dict[str, Any] = {"status": job.status, "request_id": job.request_id, "logs": None}
        body |= {"metrics": {"inference_time": 1.0}} if done else {"queue_position": 0}
        return web.json_response(body, status=200 if done else 202)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Give out a job's result, or its error."""
        job = self._find(request)
        if job is None:
            return _unknown()
        headers = {"x-fal-request-id": job.request_id}
        if job.status != "COMPLETED":
            return web.json_response({"detail": "Request is still in progress"}, status=400, headers=headers)
        return web.json_response(job.body, status=job.code, headers=headers)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Cancel a job that has not ended."""
        job = self._find(request)
        if job is None:
            return web.json_response({"status": "NOT_FOUND"}, status=404)
        if job.status in ("COMPLETED", "CANCELLED"):
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        job.status = "CANCELLED"
        if job.work is not None:
            job.work.cancel()
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Give out a picture."""
        fault = await self._faults.next("fal-files")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        data = self._files.get(request.match_info["name"])
        return web.Response(body=data, content_type="image/jpeg") if data else web.Response(status=404)

    async def keys(self, _: web.Request) -> web.Response:
        """Publish the key that webhooks are signed with."""
        x = base64.urlsafe_b64encode(bytes(self._signing.verify_key)).decode().rstrip("=")
        return web.json_response({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": x}]})

    async def list_jobs(self, _: web.Request) -> web.Response:
        """Show all jobs, the oldest first."""
        hidden = {"work", "body"}
        shown = [
            {name: value for name, value in vars(job).items() if name not in hidden} for job in self._jobs.values()
        ]
        return web.json_response(shown)

    async def sign_for_tests(self, request: web.Request) -> web.Response:
        """Return the headers with which fal would send a body."""
        return web.json_response(self._signed(await request.read(), "test"))

    async def _work(self, job: Job) -> None:
        await asyncio.sleep(QUEUED_S)
        job.status = "IN_PROGRESS"
        fault = await self._faults.next("fal-job")
        found = fal_models.problems(job.model, job.arguments)
        if found:
            job.code, job.body = 422, {"detail": found}
        elif fault and fault.kind == "status":
            job.code = fault.status
            job.body = {"detail": [{"loc": ["body"], "msg": fault.message, "type": fault.code}]}
        else:
            job.body = await self._made(job, is_flagged=bool(fault and fault.kind == "flagged"))
        job.status = "COMPLETED"
        if job.webhook_url:
            await self._deliver(job)

    async def _made(self, job: Job, *, is_flagged: bool) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        data, width, height, seed = await loop.run_in_executor(None, fal_models.make, job.model, job.arguments)
        name = f"{uuid.uuid4()}.jpeg"
        self._files[name] = data
        url = f"{self._origin}/fal/files/{name}"
        return {
            "images": [{"url": url, "width": width, "height": height, "content_type": "image/jpeg"}],
            "seed": seed,
            "has_nsfw_concepts": [is_flagged],
            "prompt": job.arguments["prompt"],
            "timings": {},
            "model": f"{job.model} (stand-in)",
        }

    async def _deliver(self, job: Job) -> None:
        fault = await self._faults.next("fal-webhook")
        kind = fault.kind if fault else ""
        if kind == "lost":
            return
        ok = job.code == 200
        told = {
            "request_id": job.request_id,
            "gateway_request_id": str(uuid.uuid4()),
            "status": "OK" if ok else "ERROR",
            "error": None if ok else f"Invalid status code: {job.code}",
            "payload": job.body,
        }
        body = json.dumps(told).encode()
        async with ClientSession(timeout=ClientTimeout(total=15)) as session:
            if kind == "forged":
                await self._send(session, job, body, self._signed(body + b" ", "forged"))
                return
            for pause_s in (0.0, *RETRIES_S):
                await asyncio.sleep(pause_s)
                if await self._send(session, job, body, self._signed(body, job.request_id)):
                    break
            if kind == "doubled":
                await asyncio.sleep(1.1)
                await self._send(session, job, body, self._signed(body, job.request_id))

    async def _send(self, session: ClientSession, job: Job, body: bytes, headers: dict[str, str]) -> bool:
        assert job.webhook_url is not None
        kind = {"Content-Type": "application/json"}
        try:
            async with session.post(job.webhook_url, data=body, headers=headers | kind) as answer:
                job.deliveries.append(answer.status)
                return answer.ok
        except (ClientError, TimeoutError):
            job.deliveries.append(0)
            return False

    def _signed(self, body: bytes, request_id: str) -> dict[str, str]:
        timestamp = str(int(time.time()))
        lines = [request_id, "stand-in-user", timestamp, hashlib.sha256(body).hexdigest()]
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": "stand-in-user",
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": self._signing.sign("\n".join(lines).encode()).signature.hex(),
        }

    def _find(self, request: web.Request) -> Job | None:
        known = request.headers.get("Authorization") == f"Key {self._key}"
        return self._jobs.get(request.match_info["id"]) if known else None


def _refused(fault: Fault) -> web.Response:
    return web.json_response(
        {"detail": [{"loc": ["body"], "msg": fault.message, "type": fault.code}]}, status=fault.status
    )


def _unknown() -> web.Response:
    return web.json_response({"detail": "Request not found"}, status=404)
