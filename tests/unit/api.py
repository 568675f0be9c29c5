"""The REST API on in-memory ports, called with the events that API Gateway sends."""

import base64
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.aws.debug_sessions import DebugSessions
from backlot.aws.model_fleet import FleetState
from backlot.aws.model_watch import ModelProgress
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import RequestContext
from backlot.seedream_models import OfferedModels
from backlot.submission import Submissions
from backlot.tasks import Progress
from lambdas.serve_api.app import build_app
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.settings import Settings
from tests.unit.fakes import (
    NOW_MS,
    Clock,
    Counter,
    Counts,
    Executions,
    Faces,
    Gpus,
    KnownPictures,
    ModelNotes,
    Objects,
    ProviderKeys,
    Sent,
    SubmissionKeys,
    Tasks,
    Uploads,
)
from tests.unit.work import CDN

ENVIRONMENT = {
    "STAGE": "dev",
    "TASK_STORE": "task_store",
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/cpu_tasks_queue",
    "IDEMPOTENCY_TABLE": "task_idempotency",
    "STATE_MACHINE_PREFIX": "arn:aws:states:us-east-1:1:stateMachine:backlot-dev-",
    "BUCKET": "assets",
    "CDN_BASE_URL": CDN,
    "INSECURE_HOSTS": "",
    "PROVIDER_SECRETS_PREFIX": "backlot/dev/",
    "SEEDREAM_MODEL": "doubao-seedream-4-0-250828",
    "WEBHOOK_SECRET": "backlot/dev/webhooks",
    "UPLOAD_BASE_URL": "",
    "SEEDREAM_MODELS": "4.0=doubao-seedream-4-0-250828,4.5=ep-45",
    "CORS_ORIGINS": "https://studio.example,https://tools.example",
    "TASK_DAYS": "30",
    "QUEUE_MAX": '{"body-masks": 3}',
    "CLOSED_LANES": "",
    "CLOSED_MODELS": "",
    "NODE_CLASSES": '["LoadImage", "ImageScale", "ImageInvert", "ImageBlend", "SaveImage", "KSampler"]',
    "PORTRAIT_ROUTE": "fal",
    "DELIVERS_MASKS": "true",
    "MODEL_ENDPOINTS": json.dumps({name: f"backlot-dev-{name}" for name in ("schp", "segment", "qwen-edit")}),
    "MODEL_CONCURRENCY": "4",
}

#: The routes' loggers are children of the handler's.
Logger()

#: What Lambda hands to a function beside its event.
CONTEXT = SimpleNamespace(
    function_name="serve_api",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:1:function:serve_api",
    aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 60_000,
)


def event(
    method: str = "GET",
    path: str = "/",
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    key_id: str | None = "key-1",
    in_base64: bool = False,
) -> dict[str, Any]:
    """Return an event of a REST API's proxy integration; a body that is no text is sent as JSON."""
    text = body if isinstance(body, str | None) else json.dumps(body)
    if in_base64 and text is not None:
        text = base64.b64encode(text.encode()).decode()
    return {
        "httpMethod": method,
        "path": path,
        "resource": "/{proxy+}",
        "body": text,
        "isBase64Encoded": in_base64,
        "headers": headers or {},
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": None,
        "requestContext": {"identity": {"apiKeyId": key_id}, "requestId": "r", "stage": "dev", "path": path},
    }


def proxy_event(**parts: Any) -> APIGatewayProxyEvent:
    return APIGatewayProxyEvent(event(**parts))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Api:
    """The API, and what stands behind it."""

    clock: Clock
    tasks: Tasks = field(default_factory=Tasks)
    executions: Executions = field(default_factory=Executions)
    keys: ProviderKeys = field(default_factory=ProviderKeys)
    metrics: Counter = field(default_factory=Counter)
    uploads: Uploads = field(default_factory=Uploads)
    objects: Objects = field(default_factory=Objects)
    known_images: KnownPictures = field(default_factory=KnownPictures)
    queue: Sent = field(default_factory=Sent)
    counters: Counts = field(default_factory=Counts)
    fleet: FleetState = field(default_factory=lambda: FleetState(True, instances=2, created_s=NOW_MS // 1000 - 500))
    model_states: ModelNotes = field(default_factory=ModelNotes)
    gpus: Gpus = field(default_factory=Gpus)
    progress: Progress | None = None
    closed_lanes: str = ""
    closed_models: str = ""
    portrait_route: str = "fal"
    is_store_reachable: bool = True

    def __post_init__(self) -> None:
        changes = {
            "CLOSED_LANES": self.closed_lanes,
            "CLOSED_MODELS": self.closed_models,
            "PORTRAIT_ROUTE": self.portrait_route,
        }
        settings = Settings.model_validate(ENVIRONMENT | changes)
        images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
        self.app = build_app(
            Deps(
                settings=settings,
                request_context=RequestContext(
                    images,
                    seedream=OfferedModels.of(settings.seedream_model, settings.seedream_models),
                    node_classes=frozenset(settings.node_classes),
                    portrait_route=settings.portrait_route,
                ),
                tasks=self.tasks,
                task_table=SimpleNamespace(is_reachable=lambda: self.is_store_reachable),
                submissions=Submissions(
                    self.tasks, SubmissionKeys(), self.executions, images, Faces(), self.clock, days=30
                ),
                keys=self.keys,
                metrics=self.metrics,
                webhooks=SimpleNamespace(value=lambda: "master"),
                uploads=self.uploads,
                objects=self.objects,
                known_images=self.known_images,
                queue=self.queue,
                counters=self.counters,
                fleets=dict.fromkeys(settings.model_endpoints, SimpleNamespace(state=lambda: self.fleet)),
                model_states=self.model_states,
                debug_sessions=DebugSessions(self.objects),
                gpus=self.gpus,
                progress=SimpleNamespace(of=lambda _: self.progress),
                model_progress=ModelProgress(self.objects, settings.model_endpoints),
                clock=self.clock,
            )
        )

    def call(self, method: str, path: str, **parts: Any) -> Answer:
        answer = self.app.resolve(event(method, path, **parts), CONTEXT)
        headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
        return Answer(answer["statusCode"], headers, answer["body"] or "")

    def get(self, path: str, **parts: Any) -> Answer:
        return self.call("GET", path, **parts)

    def post(self, path: str, body: Any, **parts: Any) -> Answer:
        return self.call("POST", path, body=body, **parts)
