"""The lane of our own models: how a step is put together there, for the function that asks and the one that hears."""

from pydantic import BaseModel, ConfigDict, Field, Json

from backlot.aws.clients import client, unrepeated_client
from backlot.aws.dynamodb import Table
from backlot.aws.pacing import DynamoPacing
from backlot.aws.s3 import Bucket
from backlot.aws.sagemaker import Endpoint, SageMaker, request_key
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.aws.stepfunctions import TaskTokens
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.fetch import ImageFetcher
from backlot.settings import EnvironmentSettings
from backlot.steps import JobPolicy, StepDeps, StepRunner, WorkItem

#: A notification that comes this late is not waited for, milliseconds.
LATE_MS = 60_000


class EndpointSettings(BaseModel):
    """How a model's endpoint is asked, see `backlot.aws.sagemaker.Endpoint`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    request_ttl_s: int = Field(ge=60, le=21_600)
    invocation_timeout_s: int = Field(ge=1, le=3600)


class ModelLaneSettings(EnvironmentSettings):
    """What both functions need to know.

    Args:
        task_store: name of the table of tasks.
        idempotency_table: name of the table of the step ledger.
        bucket: name of the bucket of pictures, requests and answers.
        cdn_base_url: where the CDN serves the bucket, without a trailing slash.
        insecure_hosts: `host:port`, separated by commas, of image hosts that may be plain http or private.
        task_days: how long records are kept, days.
        model_endpoints: by model, JSON.
    """

    task_store: str
    idempotency_table: str
    bucket: str
    cdn_base_url: str = Field(pattern=r"^https?://.*[^/]$")
    insecure_hosts: str
    task_days: int = Field(ge=1, le=3650)
    model_endpoints: Json[dict[str, EndpointSettings]]


class Parked:
    """The place of steps that wait for a model: nowhere. The model's answer or the sweep wakes them."""

    def send(self, item: WorkItem, *, delay_s: int) -> None:
        """Do nothing; the ledger has the item."""


class NoKeys:
    """The keys of models of our own: IAM lets us in."""

    def key(self, provider: str) -> str:
        """Return none."""
        del provider
        return ""


def compose(settings: ModelLaneSettings) -> tuple[StepRunner, SageMaker, DynamoStepLedger]:
    """Make the runner of the lane's steps, and what it stands on."""
    dynamodb = client("dynamodb")
    bucket = Bucket(client("s3"), settings.bucket)
    images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
    endpoints = {name: Endpoint(**each.model_dump()) for name, each in settings.model_endpoints.items()}
    sagemaker = SageMaker(unrepeated_client("sagemaker-runtime"), bucket, settings.bucket, endpoints)
    once = Table(dynamodb, settings.idempotency_table, "id")
    ledger = DynamoStepLedger(once, days=settings.task_days)
    fetcher = ImageFetcher(images)
    limit_ms = max((endpoint.limit_s for endpoint in endpoints.values()), default=0) * 1000 + LATE_MS
    runner = StepRunner(
        tasks=TaskStore(Table(dynamodb, settings.task_store, "task_id")),
        ledger=ledger,
        tokens=TaskTokens(client("stepfunctions")),
        queue=Parked(),
        pacing=DynamoPacing(once, {}),
        job_policy=JobPolicy(address=request_key, first_look_ms=LATE_MS, limit_ms=limit_ms),
        deps=StepDeps(
            providers={SageMaker.name: sagemaker},
            models={},
            keys=NoKeys(),
            images=images,
            objects=bucket,
            fetcher=fetcher,
            result_fetcher=fetcher,
        ),
        clock=now_ms,
    )
    return runner, sagemaker, ledger
