"""Jobs, as 0.33 shows prompts under `/api/jobs`."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from local.stand_ins.comfyui.prompt_queue import Prompt, PromptQueue

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")

_ENDS = {"execution_success": "completed", "execution_error": "failed", "execution_interrupted": "cancelled"}


def listed(queue: PromptQueue, query: Mapping[str, str]) -> web.Response:
    """Answer `GET /api/jobs`."""
    wanted = [each.strip().lower() for each in query.get("status", "").split(",") if each.strip()]
    strange = [each for each in wanted if each not in STATUSES]
    if strange:
        words = f"Invalid status value(s): {', '.join(strange)}. Valid values: {', '.join(STATUSES)}"
        return web.json_response({"error": words}, status=400)
    try:
        limit = int(query["limit"]) if "limit" in query else None
        offset = max(int(query.get("offset", 0)), 0)
    except ValueError:
        return web.json_response({"error": "limit and offset must be integers"}, status=400)
    jobs = [_of_prompt(each, "pending") for each in queue.pending]
    jobs += [_of_prompt(queue.running, "in_progress")] if queue.running else []
    jobs += [_of_entry(prompt_id, entry) for prompt_id, entry in queue.history.items()]
    jobs = [job for job in jobs if not wanted or job["status"] in wanted]
    jobs.sort(key=lambda job: job.get("create_time", 0), reverse=query.get("sort_order", "desc") == "desc")
    shown = jobs[offset:][:limit]
    more = offset + len(shown) < len(jobs)
    pagination = {"offset": offset, "limit": limit, "total": len(jobs), "has_more": more}
    return web.json_response({"jobs": shown, "pagination": pagination})


def found(queue: PromptQueue, job_id: str) -> dict[str, Any] | None:
    """Return one job with all that is known of it, None if there is none."""
    if job_id in queue.history:
        entry = queue.history[job_id]
        _, _, graph, extra, _ = entry["prompt"]
        workflow = {"prompt": graph, "extra_data": extra}
        return _of_entry(job_id, entry) | {
            "outputs": entry["outputs"],
            "execution_status": entry["status"],
            "workflow": workflow,
        }
    if queue.running is not None and queue.running.prompt_id == job_id:
        return _of_prompt(queue.running, "in_progress")
    return next((_of_prompt(each, "pending") for each in queue.pending if each.prompt_id == job_id), None)


def _of_prompt(prompt: Prompt, status: str) -> dict[str, Any]:
    return {
        "id": prompt.prompt_id,
        "status": status,
        "priority": prompt.number,
        "create_time": prompt.extra_data.get("create_time"),
        "outputs_count": 0,
        "previewable_outputs_count": 0,
    }


def _of_entry(prompt_id: str, entry: dict[str, Any]) -> dict[str, Any]:
    number, _, _, extra, _ = entry["prompt"]
    messages = dict(entry["status"]["messages"])
    end = next(name for name in _ENDS if name in messages)
    files = [
        file | {"nodeId": node_id, "mediaType": kind}
        for node_id, output in entry["outputs"].items()
        for kind, items in output.items()
        if kind != "animated"
        for file in items
    ]
    job = {
        "id": prompt_id,
        "status": _ENDS[end],
        "priority": number,
        "create_time": extra.get("create_time"),
        "execution_start_time": messages["execution_start"]["timestamp"],
        "execution_end_time": messages[end]["timestamp"],
        "outputs_count": len(files),
        "previewable_outputs_count": len(files),
    }
    if end == "execution_error":
        job["execution_error"] = messages[end]
    if files:
        job["preview_output"] = next((each for each in files if each["type"] == "output"), files[0])
    return job
