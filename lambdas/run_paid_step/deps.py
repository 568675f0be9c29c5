"""What the worker works with, and how it is put together."""

from dataclasses import dataclass

from backlot.aws.clients import ClientWhenNeeded, client
from backlot.aws.dynamodb import Table
from backlot.aws.pacing import DynamoPacing
from backlot.aws.s3 import Bucket
from backlot.aws.sagemaker import SageMaker
from backlot.aws.secrets import ProviderKeys
from backlot.aws.sqs import Queue
from backlot.aws.ssm import Parameter
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.aws.stepfunctions import TaskTokens
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.fal import Fal
from backlot.providers.fetch import ImageFetcher
from backlot.providers.mask_assets import MaskAssets
from backlot.providers.qwen_vl import QwenVL
from backlot.providers.seedream import Seedream
from backlot.steps import JobPolicy, StepDeps, StepRunner, webhook_address
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
    dynamodb = client("dynamodb")
    images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
    objects = Bucket(client("s3"), settings.bucket)
    step_deps = StepDeps(
        providers={
            QwenVL.name: QwenVL(base_url=settings.dashscope_base_url, limit_s=settings.dashscope_limit_s),
            Seedream.name: Seedream(base_url=settings.ark_base_url, limit_s=settings.ark_limit_s),
            Fal.name: Fal(base_url=settings.fal_base_url, limit_s=settings.fal_call_limit_s),
            # Asked by another lane; cancelled here, as everything is.
            SageMaker.name: SageMaker(ClientWhenNeeded("sagemaker-runtime"), objects, settings.bucket, {}),
            **({MaskAssets.name: MaskAssets(url=settings.mask_assets_url)} if settings.mask_assets_url else {}),
        },
        models={
            QwenVL.name: settings.qwen_vl_model,
            Seedream.name: settings.seedream_model,
            "make-portrait": settings.portrait_model,
            "harmonize-portrait": settings.harmonize_model,
        },
        keys=ProviderKeys(client("secretsmanager"), settings.provider_secrets_prefix),
        images=images,
        objects=objects,
        fetcher=ImageFetcher(images),
        result_fetcher=ImageFetcher(images, max_bytes=MAX_RESULT_BYTES),
    )
    queue = Queue(client("sqs"), settings.queue_url)
    once = Table(dynamodb, settings.idempotency_table, "id")
    runner = StepRunner(
        tasks=TaskStore(Table(dynamodb, settings.task_store, "task_id")),
        ledger=DynamoStepLedger(once, days=settings.task_days),
        tokens=TaskTokens(client("stepfunctions")),
        queue=queue,
        pacing=DynamoPacing(once, settings.rate_limits),
        job_policy=JobPolicy(
            address=webhook_address(Parameter(client("ssm"), settings.public_url_parameter).value),
            first_look_ms=round(settings.job_first_look_s * 1000),
            limit_ms=round(settings.job_limit_s * 1000),
        ),
        deps=step_deps,
        clock=now_ms,
    )
    return Deps(runner=runner, queue=queue)
