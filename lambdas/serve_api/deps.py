"""What the routes work with, and how it is put together."""

from collections.abc import Mapping
from dataclasses import dataclass

from backlot.aws.clients import ClientWhenNeeded, client, s3_client
from backlot.aws.cloudwatch import OperationMetrics
from backlot.aws.counters import Counters
from backlot.aws.debug_sessions import DebugSessions
from backlot.aws.dynamodb import Table
from backlot.aws.face_memory import DynamoFaceMemory
from backlot.aws.gpu_fleet import GpuFleet
from backlot.aws.known_images import KnownImages
from backlot.aws.model_fleet import ModelFleet
from backlot.aws.model_states import ModelStates
from backlot.aws.model_watch import ModelProgress
from backlot.aws.s3 import Bucket
from backlot.aws.secrets import ProviderKeyStatus, WebhookSecret
from backlot.aws.sqs import Queue
from backlot.aws.stepfunctions import Executions
from backlot.aws.submission_keys import DynamoSubmissionKeys
from backlot.aws.task_progress import TaskProgress
from backlot.aws.task_store import TaskStore
from backlot.aws.uploads import Uploads
from backlot.clock import Clock, now_ms
from backlot.faces import Faces
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import RequestContext
from backlot.seedream_models import OfferedModels
from backlot.submission import Submissions
from lambdas.serve_api.settings import Settings


@dataclass(frozen=True)
class Deps:
    """Made once in the composition root.

    Args:
        settings: of the function.
        request_context: what requests are checked against.
        tasks: the task store.
        task_table: its table.
        submissions: takes requests in.
        queue: where workers are told of cancelled tasks.
        keys: tells which providers' keys are set.
        metrics: counts accepted tasks.
        uploads: takes images in.
        objects: the bucket, for routes that answer with a picture itself.
        known_images: pictures that clients name by an id.
        webhooks: the secret from which signing keys of webhooks are made.
        counters: how many tasks were completed.
        fleets: by model of our own, its instances.
        model_states: what the models last said of themselves.
        debug_sessions: what tasks have kept of their work.
        gpus: the hosts of the GPU lane.
        progress: how far their tasks are.
        model_progress: how far tasks of models of our own are.
        clock: Unix time in milliseconds.
    """

    settings: Settings
    request_context: RequestContext
    tasks: TaskStore
    task_table: Table
    submissions: Submissions
    queue: Queue
    keys: ProviderKeyStatus
    metrics: OperationMetrics
    uploads: Uploads
    objects: Bucket
    known_images: KnownImages
    webhooks: WebhookSecret
    counters: Counters
    fleets: Mapping[str, ModelFleet]
    model_states: ModelStates
    debug_sessions: DebugSessions
    gpus: GpuFleet
    progress: TaskProgress
    model_progress: ModelProgress
    clock: Clock


def compose(settings: Settings) -> Deps:
    """Make the clients and everything that stands on them."""
    dynamodb, secrets, sagemaker = client("dynamodb"), client("secretsmanager"), ClientWhenNeeded("sagemaker")
    task_table = Table(dynamodb, settings.task_store, "task_id")
    tasks = TaskStore(task_table)
    images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
    once = Table(dynamodb, settings.idempotency_table, "id")
    bucket = Bucket(ClientWhenNeeded("s3"), settings.bucket)
    submissions = Submissions(
        tasks=tasks,
        keys=DynamoSubmissionKeys(once),
        executions=Executions(client("stepfunctions"), settings.state_machine_prefix),
        images=images,
        faces=Faces(bucket, DynamoFaceMemory(once), settings.bucket, now_ms),
        clock=now_ms,
        days=settings.task_days,
    )
    return Deps(
        settings=settings,
        request_context=RequestContext(
            images=images,
            seedream=OfferedModels.of(settings.seedream_model, settings.seedream_models),
            node_classes=frozenset(settings.node_classes),
            portrait_route=settings.portrait_route,
        ),
        tasks=tasks,
        task_table=task_table,
        submissions=submissions,
        queue=Queue(ClientWhenNeeded("sqs"), settings.queue_url),
        keys=ProviderKeyStatus(secrets, settings.provider_secrets_prefix),
        metrics=OperationMetrics(),
        webhooks=WebhookSecret(secrets, settings.webhook_secret),
        counters=Counters(once),
        fleets={name: ModelFleet(sagemaker, endpoint) for name, endpoint in settings.model_endpoints.items()},
        model_states=ModelStates(once, settings.model_endpoints, now_ms),
        debug_sessions=DebugSessions(bucket),
        gpus=GpuFleet(once),
        progress=TaskProgress(once),
        model_progress=ModelProgress(bucket, settings.model_endpoints),
        objects=bucket,
        known_images=KnownImages(once),
        uploads=Uploads(s3_client, settings.bucket, settings.upload_base_url),
        clock=now_ms,
    )
