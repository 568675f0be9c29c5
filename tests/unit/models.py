"""The lane of our own models on in-memory ports: real steps, and SageMaker's runtime as a list."""

import json
from typing import Any

from backlot.aws.sagemaker import Endpoint, SageMaker, request_key
from backlot.image_urls import ImageUrlPolicy
from backlot.model_lane import NoKeys, Parked
from backlot.model_results import ModelResults, Notification
from backlot.steps import JobPolicy, StepDeps, StepRunner, WorkItem
from tests.unit.fakes import Clock, Hosts, ModelNotes, Objects, Pacing, Tasks, Tokens
from tests.unit.ledger import Ledger
from tests.unit.work import CDN, LEASE_MS, a_task

ENDPOINT = Endpoint("backlot-dev-model", request_ttl_s=600, invocation_timeout_s=60)


class Runtime:
    """SageMaker's runtime: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def invoke_endpoint_async(self, **asked: Any) -> dict[str, str]:
        self.asked.append(asked)
        name = asked["InferenceId"]
        return {
            "OutputLocation": f"s3://assets/model-results/{name}.out",
            "FailureLocation": f"s3://assets/model-failures/{name}.out",
        }


class ModelLane:
    """Both functions of the lane on in-memory ports, and the endpoint of one model."""

    def __init__(self, clock: Clock, model: str, operation: str = "body-masks") -> None:
        self.clock, self.runtime, self.objects, self.hosts = clock, Runtime(), Objects(), Hosts()
        self.tasks, self.tokens, self.ledger = Tasks(), Tokens(), Ledger(clock)
        self.tasks.add(a_task(operation=operation))
        self.models = SageMaker(self.runtime, self.objects, "assets", {model: ENDPOINT})
        deps = StepDeps(
            providers={SageMaker.name: self.models},
            models={},
            keys=NoKeys(),
            images=ImageUrlPolicy.of("assets", CDN, ""),
            objects=self.objects,
            fetcher=self.hosts,
            result_fetcher=self.hosts,
        )
        policy = JobPolicy(request_key, first_look_ms=1000, limit_ms=ENDPOINT.limit_s * 1000)
        self.runner = StepRunner(self.tasks, self.ledger, self.tokens, Parked(), Pacing(), policy, deps, clock)
        self.notes = ModelNotes()
        self.results = ModelResults(
            self.ledger,
            self.models,
            self.runner,
            clock,
            self.notes,
            sleep=lambda seconds: clock.advance(seconds=seconds),
        )

    def bring(self, item: WorkItem, receipt: str = "delivery 1"):
        return self.runner.run(item, receipt=receipt, sent_ms=self.clock() - 100, lease_ms=LEASE_MS)

    def request(self) -> dict[str, Any]:
        (request,) = self.requests()
        return request

    def requests(self) -> list[dict[str, Any]]:
        """Return all that was asked, the first one first."""
        keys = [asked["InputLocation"].removeprefix("s3://assets/") for asked in self.runtime.asked]
        return [json.loads(self.objects.kept[key]) for key in keys]

    def note(self, **more: Any) -> Notification:
        asked = self.runtime.asked[-1]
        told = {"inferenceId": asked["InferenceId"], "requestParameters": {"inputLocation": asked["InputLocation"]}}
        return Notification.model_validate(told | more)

    def tell(self, answer: dict[str, Any] | None = None, *, receipt: str = "note 1", **more: Any):
        """Let SageMaker tell of an answer, or of a failure."""
        if answer is not None:
            location = f"s3://assets/model-results/{self.runtime.asked[-1]['InferenceId']}.out"
            self.objects.kept[location.removeprefix("s3://assets/")] = json.dumps(answer).encode()
            more["responseParameters"] = {"outputLocation": location}
        return self.results.receive(self.note(**more), receipt=receipt, lease_ms=LEASE_MS)

    def answer(self, values: dict[str, Any], model: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a model's answer to what it was asked, with the files where they were asked for."""
        return {
            "outputs": {name: {"url": url} for name, url in self.request()["outputs"].items()},
            "values": values,
            "model": model or {"engine": "model"},
            "timings": {"run_s": 0.2},
        }
