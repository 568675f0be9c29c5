"""A worker of the paid lane on in-memory ports: real steps and real clients of the providers, nothing behind them."""

from dataclasses import dataclass, field
from typing import Any

from backlot.image_urls import ImageUrlPolicy
from backlot.providers.qwen_vl import QwenVL
from backlot.providers.seedream import Seedream
from backlot.steps import JobPolicy, Outcome, StepDeps, StepRunner, WorkItem, webhook_address
from backlot.tasks import Status, Task
from tests.unit.fakes import NOW_MS, Clock, Hosts, Objects, Pacing, ProviderKeys, Sent, Tasks, Tokens
from tests.unit.ledger import Ledger

TASK_ID = "6f1c1f0a-3a55-4b53-9f57-0c5b8a3f3a10"
CDN = "https://cdn.example.com"
LEASE_MS = 60_000

#: Made once, because a client of httpx takes a while to make.
PROVIDERS = {
    "dashscope": QwenVL(base_url="https://dashscope.example/v1", limit_s=30),
    "ark": Seedream(base_url="https://ark.example/v3", limit_s=90),
}


def a_task(task_id: str = TASK_ID, *, now_ms: int = NOW_MS, operation: str = "face-mask", **changes: Any) -> Task:
    request = {"image_url": "https://a.example/a.jpg", "face_index": 0}
    task = Task.submitted(task_id=task_id, operation=operation, owner="key-1", request=request, now_ms=now_ms, days=30)
    return task.model_copy(update=changes)


def an_item(step: str, step_input: dict[str, Any], *, attempt: int = 0, token: str = "token") -> WorkItem:
    return WorkItem(
        task_token=token,
        task_id=TASK_ID,
        operation="face-mask",
        step=step,
        attempt=f"{TASK_ID}/{attempt}",
        input=step_input,
    )


@dataclass
class Worker:
    """Everything a message meets, and what is left afterwards."""

    clock: Clock
    tasks: Tasks = field(default_factory=Tasks)
    tokens: Tokens = field(default_factory=Tokens)
    sent: Sent = field(default_factory=Sent)
    pacing: Pacing = field(default_factory=Pacing)
    keys: ProviderKeys = field(default_factory=ProviderKeys)
    objects: Objects = field(default_factory=Objects)
    hosts: Hosts = field(default_factory=Hosts)
    results: Hosts = field(default_factory=Hosts)
    ledger: Ledger = field(init=False)
    runner: StepRunner = field(init=False)
    deliveries: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.clock)
        self.tasks.add(a_task())
        deps = StepDeps(
            providers=PROVIDERS,
            models={"dashscope": "qwen3-vl-plus", "ark": "doubao-seedream-4-0-250828"},
            keys=self.keys,
            images=ImageUrlPolicy.of("assets", CDN, ""),
            objects=self.objects,
            fetcher=self.hosts,
            result_fetcher=self.results,
        )
        policy = JobPolicy(webhook_address(lambda: "https://api.example/live"), first_look_ms=15_000, limit_ms=900_000)
        self.runner = StepRunner(self.tasks, self.ledger, self.tokens, self.sent, self.pacing, policy, deps, self.clock)

    def deliver(self, item: WorkItem, *, queued_ms: int = 2500) -> Outcome:
        """Bring a message, once more if it was brought before."""
        self.deliveries += 1
        sent_ms = self.clock() - queued_ms
        return self.runner.run(item, receipt=f"delivery {self.deliveries}", sent_ms=sent_ms, lease_ms=LEASE_MS)

    def task(self) -> Task:
        task = self.tasks.get(TASK_ID)
        assert task is not None
        return task

    def end_task(self) -> None:
        self.tasks.kept[TASK_ID] = self.task().model_copy(update={"status": Status.CANCELLED})
