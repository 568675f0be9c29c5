"""How the worker is put together."""

from concurrent.futures import ThreadPoolExecutor

import aiohttp

from backlot.aws.clients import patient_client
from backlot.aws.cloudwatch import GpuMetrics
from backlot.aws.dynamodb import Table
from backlot.aws.gpu_fleet import GpuFleet
from backlot.aws.s3 import Bucket
from backlot.aws.sqs import Queue
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.aws.stepfunctions import TaskTokens
from backlot.aws.task_progress import TaskProgress
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.comfyui.client import ComfyuiClient
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.fetch import ImageFetcher
from containers.comfyui.worker.busy import BusyShare
from containers.comfyui.worker.comfyui import Comfyui
from containers.comfyui.worker.following import Limits
from containers.comfyui.worker.host import SpotNotice, TaskProtection
from containers.comfyui.worker.inputs import Inputs
from containers.comfyui.worker.lane import Lane
from containers.comfyui.worker.outputs import Outputs
from containers.comfyui.worker.process import ComfyuiProcess
from containers.comfyui.worker.prompts import Prompts
from containers.comfyui.worker.settings import Settings
from containers.comfyui.worker.work import Work
from containers.comfyui.worker.worker import Deps, Fleet, Worker
from containers.comfyui.workflows import workflows

#: Threads for calls that block: a long poll, three jobs with some calls each, and pictures that are fetched at once.
THREADS = 24


def executor() -> ThreadPoolExecutor:
    """Return the threads that blocking calls run in."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="aws")


def lane_on_aws(settings: Settings) -> tuple[Lane, GpuFleet]:
    """Make the clients of AWS and what stands on them."""
    dynamodb = patient_client("dynamodb")
    once = Table(dynamodb, settings.idempotency_table, "id")
    images = ImageUrlPolicy.of(settings.bucket, settings.cdn_base_url, settings.insecure_hosts)
    lane = Lane(
        tasks=TaskStore(Table(dynamodb, settings.task_store, "task_id")),
        progress=TaskProgress(once),
        ledger=DynamoStepLedger(once, days=settings.task_days),
        tokens=TaskTokens(patient_client("stepfunctions")),
        queue=Queue(patient_client("sqs"), settings.queue_url),
        objects=Bucket(patient_client("s3"), settings.bucket),
        images=images,
        fetcher=ImageFetcher(images),
        clock=now_ms,
    )
    return lane, GpuFleet(once)


def compose(settings: Settings, http: aiohttp.ClientSession, lane: Lane, fleet: Fleet) -> Worker:
    """Make the worker on its ports.

    Args:
        settings: of the worker.
        http: for ComfyUI and the host.
        lane: the ports.
        fleet: all workers.
    """
    metrics, share = GpuMetrics(), BusyShare()
    comfyui = Comfyui(
        ComfyuiClient(http, settings.comfyui_url), ComfyuiProcess(settings.comfyui_command), metrics.crashed
    )
    prompts = Prompts(comfyui, Limits(settings.prompt_limit_s, settings.stall_limit_s), share.note)
    work = Work(
        comfyui,
        inputs=Inputs(comfyui, lane, workflows(), settings.node_classes),
        prompts=prompts,
        outputs=Outputs(comfyui.client, lane.objects, lane.images),
        on_done=metrics.prompt_done,
    )
    deps = Deps(
        lane=lane,
        comfyui=comfyui,
        prompts=prompts,
        work=work,
        fleet=fleet,
        metrics=metrics,
        share=share,
        spot=SpotNotice(http, settings.spot_notice_url),
        protection=TaskProtection(http, settings.ecs_agent_uri),
        comfyui_folder=settings.comfyui_folder,
    )
    return Worker(deps, lease_s=settings.lease_s, drain_limit_s=settings.drain_limit_s)
