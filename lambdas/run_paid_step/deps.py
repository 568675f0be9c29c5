"""What the worker works with, and how it is put together."""

from dataclasses import dataclass

import boto3

from backlot.aws.dynamodb import Table
from backlot.aws.s3 import Bucket
from backlot.aws.secrets import ProviderKeys
from backlot.aws.sqs import Queue
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.aws.stepfunctions import TaskTokens
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.fetch import ImageFetcher
from backlot.providers.qwen_vl import QwenVL
from backlot.providers.seedream import Seedream
from backlot.steps import StepDeps, StepRunner
from lambdas.run_paid_step.settings import Settings

#: Largest picture that a provider may send us, bytes: a PNG of 16 megapixels.
MAX_RESULT_BYTES = 64_000_000


@dataclass(frozen=True)
class Deps:
    """Made once in the composition root."""

    runner: StepRunner
    queue: Queue


def compose(settings: Settings) -> Deps:
    """Make the clients and everything that stands on them."""
    dynamodb = boto3.client("dynamodb")
    images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
    step_deps = StepDeps(
        providers={
            QwenVL.name: QwenVL(base_url=settings.dashscope_base_url, limit_s=settings.dashscope_limit_s),
            Seedream.name: Seedream(base_url=settings.ark_base_url, limit_s=settings.ark_limit_s),
        },
        models={QwenVL.name: settings.qwen_vl_model, Seedream.name: settings.seedream_model},
        keys=ProviderKeys(boto3.client("secretsmanager"), settings.provider_secrets_prefix),
        images=images,
        objects=Bucket(boto3.client("s3"), settings.bucket),
        fetcher=ImageFetcher(images),
        result_fetcher=ImageFetcher(images, max_bytes=MAX_RESULT_BYTES),
    )
    runner = StepRunner(
        tasks=TaskStore(Table(dynamodb, settings.task_store, "task_id")),
        ledger=DynamoStepLedger(Table(dynamodb, settings.idempotency_table, "id"), days=settings.task_days),
        tokens=TaskTokens(boto3.client("stepfunctions")),
        deps=step_deps,
        clock=now_ms,
    )
    return Deps(runner=runner, queue=Queue(boto3.client("sqs"), settings.queue_url))
