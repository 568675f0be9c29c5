"""What tests set, and what they look at afterwards: `PUT /_settings`, `GET /_state`, `DELETE /_state`."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.stand_ins.comfyui.prompt_queue import Prompt


class Settings(BaseModel):
    """How long things take.

    Args:
        step_s: one step of a sampler, seconds.
        node_s: every node beside what it does, seconds.
        sampling_s: all steps of a sampler together, seconds; 0 leaves them as long as they are.
        previews: whether samplers send previews, as with `--preview-method auto`.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    step_s: float = Field(0.12, ge=0)
    node_s: float = Field(0, ge=0)
    sampling_s: float = Field(0, ge=0)
    previews: bool = True


@dataclass
class PromptRecord:
    """One execution of a prompt.

    Args:
        prompt_id: its id.
        client_id: whose it is.
        begin: Unix seconds.
        end: Unix seconds; None while it runs.
        status: `running`, then `success`, `error`, `interrupted` or `lost`.
        nodes: ids that were executed and did not come from the cache.
    """

    prompt_id: str
    client_id: str | None
    begin: float = field(default_factory=time.time)
    end: float | None = None
    status: str = "running"
    nodes: list[str] = field(default_factory=list)

    def close(self, status: str) -> None:
        """Note the end."""
        self.end, self.status = time.time(), status


class Records:
    """What has happened since the start, or since it was forgotten.

    Args:
        settings: are changed by `PUT /_settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._forget()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes by which tests reach it."""
        return [
            web.put("/_settings", self._put_settings),
            web.get("/_state", self._get_state),
            web.delete("/_state", self._delete_state),
        ]

    def begin(self, prompt: Prompt) -> PromptRecord:
        """Note that a prompt begins."""
        record = PromptRecord(prompt.prompt_id, prompt.client_id)
        self.prompts.append(record)
        return record

    async def _put_settings(self, request: web.Request) -> web.Response:
        try:
            changes = Settings.model_validate_json(await request.text())
        except ValidationError as error:
            return web.json_response({"errors": error.errors(include_url=False)}, status=400)
        for name in changes.model_fields_set:
            setattr(self.settings, name, getattr(changes, name))
        return web.json_response(self.settings.model_dump())

    async def _get_state(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "engine": "stand-in",
                "prompts": [asdict(each) for each in self.prompts],
                "executions": Counter(each.prompt_id for each in self.prompts),
                "interrupts": self.interrupts,
                "cancels": self.cancels,
                "deletes": self.deletes,
                "frees": self.frees,
                "uploads": self.uploads,
            }
        )

    async def _delete_state(self, _: web.Request) -> web.Response:
        self._forget()
        return web.json_response({})

    def _forget(self) -> None:
        self.prompts: list[PromptRecord] = []
        self.interrupts: list[str | None] = []
        self.cancels: list[str] = []
        self.deletes: list[str] = []
        self.frees: list[dict[str, bool]] = []
        self.uploads: list[dict[str, Any]] = []
