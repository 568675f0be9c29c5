"""Routes about prompts: submit, queue, history, interrupt, free; and the jobs of 0.33."""

import json
import time
import uuid
from typing import Any

from aiohttp import web

from local.stand_ins.comfyui import jobs
from local.stand_ins.comfyui.execution import Execution
from local.stand_ins.comfyui.prompt_queue import Prompt
from local.stand_ins.comfyui.records import Records
from local.stand_ins.comfyui.validation import Validator
from local.stand_ins.faults import Fault, drop

#: Where a middleware leaves the fault of a submission.
FAULT = web.RequestKey("fault", Fault)


class Prompts:
    """What clients may do with prompts.

    Args:
        execution: runs them.
        validator: checks them.
        records: what tests look at.
        is_new: whether it is 0.33, or 0.3.64.
    """

    def __init__(self, execution: Execution, validator: Validator, records: Records, *, is_new: bool) -> None:
        self._execution = execution
        self._queue = execution.queue
        self._validator = validator
        self._records = records
        self._is_new = is_new
        self._number = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        found = [
            web.get("/prompt", self.status),
            web.post("/prompt", self.submit),
            web.get("/queue", self.show_queue),
            web.post("/queue", self.change_queue),
            web.get("/history", self.list_history),
            web.get("/history/{prompt_id}", self.show_history),
            web.post("/history", self.change_history),
            web.post("/interrupt", self.interrupt),
            web.post("/free", self.free),
        ]
        if self._is_new:
            found += [
                web.get("/jobs", self.list_jobs),
                web.post("/jobs/cancel", self.cancel_jobs),
                web.get("/jobs/{job_id}", self.show_job),
                web.post("/jobs/{job_id}/cancel", self.cancel_job),
            ]
        return found

    async def status(self, _: web.Request) -> web.Response:
        """Tell how many prompts wait or run."""
        return web.json_response(self._execution.status())

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Take a prompt."""
        body = await request.json()
        number = self._number_of(body)
        if "prompt" not in body:
            return _refusal("no_prompt", "No prompt provided", "No prompt provided")
        prompt_id = body.get("prompt_id")
        if self._is_new and prompt_id is not None and not is_job_id(prompt_id):
            details = "prompt_id must be a UUID string in canonical lowercase hyphenated form"
            details += "; omit it to let the server generate one"
            return _refusal("invalid_prompt_id", "prompt_id must be a valid UUID", details)
        verdict = self._validator.judge(body["prompt"], body.get("partial_execution_targets"))
        if verdict.error is not None:
            return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
        extra = body.get("extra_data", {})
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        if self._is_new:
            extra["create_time"] = int(time.time() * 1000)
        prompt_id = str(uuid.uuid4()) if prompt_id is None else str(prompt_id)
        self._queue.put(Prompt(number, prompt_id, body["prompt"], extra, verdict.outputs))
        fault = request.get(FAULT)
        if fault and fault.kind == "lost-answer":
            drop(request)
            return web.Response()
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    async def show_queue(self, _: web.Request) -> web.Response:
        """Show the prompt that runs and those that wait."""
        running = [self._queue.running.shown()] if self._queue.running else []
        pending = [each.shown() for each in self._queue.pending]
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def change_queue(self, request: web.Request) -> web.Response:
        """Take prompts that wait out of the queue."""
        body = await request.json()
        if body.get("clear"):
            self._queue.clear()
        for prompt_id in body.get("delete", []):
            self._records.deletes.append(prompt_id)
            self._queue.delete(prompt_id)
        return web.Response()

    async def list_history(self, request: web.Request) -> web.Response:
        """Show what became of several prompts."""
        most = request.query.get("max_items")
        past = self._queue.past(int(most) if most is not None else None, int(request.query.get("offset", -1)))
        return web.json_response(past)

    async def show_history(self, request: web.Request) -> web.Response:
        """Show what became of a prompt; nothing if it is not known or has not ended."""
        prompt_id = request.match_info["prompt_id"]
        entry = self._queue.history.get(prompt_id)
        return web.json_response({prompt_id: entry} if entry else {})

    async def change_history(self, request: web.Request) -> web.Response:
        """Forget what became of prompts."""
        body = await request.json()
        if body.get("clear"):
            self._queue.history.clear()
        for prompt_id in body.get("delete", []):
            self._queue.history.pop(prompt_id, None)
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        """End the running prompt: whatever it is without an id, else only the one with that id."""
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = {}
        prompt_id = body.get("prompt_id")
        self._records.interrupts.append(prompt_id)
        if not prompt_id or self._is_running(prompt_id):
            self._execution.interrupt()
        return web.Response()

    async def free(self, request: web.Request) -> web.Response:
        """Give memory back between prompts."""
        body = await request.json()
        wanted = {name: bool(body.get(name)) for name in ("unload_models", "free_memory")}
        self._records.frees.append(wanted)
        self._execution.free(free_memory=wanted["free_memory"])
        return web.Response()

    async def list_jobs(self, request: web.Request) -> web.Response:
        """Show jobs, the newest first."""
        return jobs.listed(self._queue, request.query)

    async def show_job(self, request: web.Request) -> web.Response:
        """Show a job with its outputs."""
        job = jobs.found(self._queue, request.match_info["job_id"])
        return web.json_response(job or {"error": "Job not found"}, status=200 if job else 404)

    async def cancel_job(self, request: web.Request) -> web.Response:
        """End a job wherever it is."""
        return web.json_response({"cancelled": self._cancel(request.match_info["job_id"])})

    async def cancel_jobs(self, request: web.Request) -> web.Response:
        """End several jobs."""
        body = await request.json()
        ids = body.get("job_ids") if isinstance(body, dict) else None
        if not isinstance(ids, list):
            return web.json_response({"error": "job_ids must be a list"}, status=400)
        invalid = [each for each in ids if not is_job_id(each)]
        if invalid:
            told = {"error": "job_ids contains invalid id(s)", "invalid_ids": [str(each) for each in invalid]}
            return web.json_response(told, status=400)
        return web.json_response({"cancelled": True in [self._cancel(each) for each in ids]})

    def _cancel(self, job_id: str) -> bool:
        self._records.cancels.append(job_id)
        if self._is_running(job_id):
            self._execution.interrupt()
            return True
        return self._queue.delete(job_id)

    def _is_running(self, prompt_id: str) -> bool:
        return self._queue.running is not None and self._queue.running.prompt_id == prompt_id

    def _number_of(self, body: dict[str, Any]) -> float:
        if "number" in body:
            return float(body["number"])
        number = self._number
        self._number += 1
        return -number if body.get("front") else number


def is_job_id(value: object) -> bool:
    """Tell whether something is a UUID in its usual form."""
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _refusal(kind: str, message: str, details: str) -> web.Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return web.json_response({"error": error, "node_errors": {}}, status=400)
