"""What the routes work with, and how it is put together."""

from dataclasses import dataclass

import boto3

from backlot.aws.cloudwatch import OperationMetrics
from backlot.aws.dynamodb import Table
from backlot.aws.secrets import ProviderKeyStatus
from backlot.aws.stepfunctions import Executions
from backlot.aws.submission_keys import DynamoSubmissionKeys
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import RequestContext
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
        keys: tells which providers' keys are set.
        metrics: counts accepted tasks.
    """

    settings: Settings
    request_context: RequestContext
    tasks: TaskStore
    task_table: Table
    submissions: Submissions
    keys: ProviderKeyStatus
    metrics: OperationMetrics


def compose(settings: Settings) -> Deps:
    """Make the clients and everything that stands on them."""
    dynamodb = boto3.client("dynamodb")
    task_table = Table(dynamodb, settings.task_store, "task_id")
    tasks = TaskStore(task_table)
    images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
    submissions = Submissions(
        tasks=tasks,
        keys=DynamoSubmissionKeys(Table(dynamodb, settings.idempotency_table, "id")),
        executions=Executions(boto3.client("stepfunctions"), settings.state_machine_prefix),
        images=images,
        clock=now_ms,
        days=settings.task_days,
    )
    return Deps(
        settings=settings,
        request_context=RequestContext(images=images, seedream_model=settings.seedream_model),
        tasks=tasks,
        task_table=task_table,
        submissions=submissions,
        keys=ProviderKeyStatus(boto3.client("secretsmanager"), settings.provider_secrets_prefix),
        metrics=OperationMetrics(),
    )
