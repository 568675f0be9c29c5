"""The stages: every number and name that differs between them, typed and checked when it is written down."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backlot.operations.identity_portrait import Route
from backlot.providers.seedream import EXTRA_IMAGE_S
from backlot.seedream_models import MAX_PICTURES, MODELS, OFFERED
from backlot.steps import AFTER_PAYING_S
from cdk.gpu_config import Gpu, WarmWindow
from cdk.model_config import ModelEndpoint, models


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UsagePlan(_Config):
    """How much one API key may ask for.

    Args:
        rate: requests a second, on average.
        burst: requests at once.
        quota_per_day: requests a day; None for no limit.
    """

    rate: float = Field(gt=0)
    burst: int = Field(gt=0)
    quota_per_day: int | None = Field(default=None, gt=0)


class ApiKey(_Config):
    """An API key that the stage has from the start; its value is made by API Gateway.

    Args:
        name: what the console shows.
        plan: name of its usage plan.
    """

    name: str
    plan: str


class ProviderLimit(_Config):
    """What the account may ask of a provider; more is put off, and does not fail.

    Args:
        requests_per_minute: calls begun in a minute; None for no limit of ours.
        concurrent: calls at work at once; None for no limit of ours.
    """

    requests_per_minute: int | None = Field(default=None, ge=1, le=60_000)
    concurrent: int | None = Field(default=None, ge=1, le=1000)


class Providers(_Config):
    """The paid APIs.

    Args:
        dashscope_base_url: OpenAI-compatible endpoint of the region that the key belongs to.
        qwen_vl_model: the face detector.
        dashscope_limit_s: longest wait for the detector, seconds.
        ark_base_url: Volcano Engine Ark, or BytePlus ModelArk.
        seedream_model: model id or endpoint id; asked when a request names none.
        seedream_models: what requests may name: by alias, the model id or endpoint id.
        ark_limit_s: longest wait for one picture, seconds; a batch is waited for longer.
        fal_base_url: of fal's queue.
        fal_jwks_url: where fal publishes the keys that it signs webhooks with.
        fal_call_limit_s: longest wait for an answer of the queue itself, seconds.
        portrait_model: fal's model for portraits of a face.
        harmonize_model: fal's model that goes over a portrait.
        job_first_look_s: after how long a job is looked at whose webhook has not come, seconds.
        job_limit_s: longest wait for a job, its time in the provider's queue included, seconds.
        rate_limits: by provider, as the provider's console shows them for the account.
    """

    dashscope_base_url: str = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
    qwen_vl_model: str = "qwen3-vl-plus"
    dashscope_limit_s: float = 60
    ark_base_url: str = "https://ark.cn-beijing.volces.com/api/v3"
    seedream_model: str = OFFERED["4.0"]
    seedream_models: dict[str, str] = OFFERED
    ark_limit_s: float = 180
    fal_base_url: str = "https://queue.fal.run"
    fal_jwks_url: str = "https://rest.fal.ai/.well-known/jwks.json"
    fal_call_limit_s: float = 30
    portrait_model: str = "fal-ai/flux-pulid"
    harmonize_model: str = "fal-ai/flux/dev/image-to-image"
    job_first_look_s: float = Field(default=15, gt=0, le=120)
    job_limit_s: float = Field(default=900, gt=0, le=7200)
    rate_limits: dict[str, ProviderLimit] = {}

    @model_validator(mode="after")
    def _models_are_known(self) -> Self:
        unknown = set(self.seedream_models) - set(MODELS)
        if unknown:
            raise ValueError(f"seedream_models names aliases that do not exist: {', '.join(sorted(unknown))}")
        return self


class Worker(_Config):
    """The worker of the paid lane.

    Args:
        concurrency: messages at work at once; SQS allows 2 to 1000.
        memory_mb: of the function; pictures of 50 megapixels need 1.5 GB.
        timeout_s: of one message; must be below the queue's visibility, and long enough for a batch of 15 pictures.
        visibility_s: after how long a message of a vanished worker comes back.
        max_receives: after how many receives it goes to the dead-letter queue.
    """

    concurrency: int = Field(default=50, ge=2, le=1000)
    memory_mb: int = Field(default=2048, ge=512, le=10_240)
    timeout_s: int = Field(default=590, ge=30, le=900)
    visibility_s: int = Field(default=600, ge=30, le=43_200)
    max_receives: int = Field(default=3, ge=1, le=100)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.timeout_s >= self.visibility_s:
            raise ValueError(f"timeout_s {self.timeout_s} must be below visibility_s {self.visibility_s}")
        return self


class Alarms(_Config):
    """When an alarm rings.

    Args:
        email: who is told; None for nobody, until a subscription is made by hand.
        queue_age_s: age of the oldest message.
        failed_share: failed tasks by all tasks that ended within 15 minutes.
        failed_share_of: not before this many tasks ended.
        api_5xx: server errors of the API within 5 minutes.
    """

    email: str | None = None
    queue_age_s: int = Field(default=900, gt=0)
    failed_share: float = Field(default=0.2, gt=0, lt=1)
    failed_share_of: int = Field(default=10, gt=0)
    api_5xx: int = Field(default=5, gt=0)


class Platform(_Config):
    """What the Lambda functions run on.

    Args:
        python: minor version.
        architecture: of the processor.
    """

    python: Literal["3.11", "3.12", "3.13"] = "3.13"
    architecture: Literal["arm64", "x86_64"] = "arm64"


_ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=30)]


class Stage(_Config):
    """A stage.

    Args:
        name: part of every stack's and state machine's name.
        account: AWS account; None for that of the credentials with which it is deployed.
        region: AWS region; None for that of the credentials.
        name_suffix: behind the physical names, so that two stages fit into one account.
        keep_data: whether the bucket and the tables outlive the stacks.
        result_days: how long results lie in the bucket, and task records in the table.
        cdn_base_url: where the CDN is reached; None for the distribution's own domain.
        upload_base_url: origin that takes uploads; None for S3's own.
        public_url: where providers reach the API with their webhooks; None for the API's own address.
        insecure_hosts: `host:port` of image hosts that may be plain http or private; empty outside local mode.
        cors_origins: pages that may call the API and read results.
        usage_plans: by name.
        api_keys: keys that exist from the start.
        api_stage: last part of the API's own URL.
        providers: the paid APIs.
        worker: of the paid lane.
        queue_max: by operation, how many of its tasks may wait or run at once; of others, any number.
        mask_assets_url: where body masks are delivered; None for nowhere.
        sagemaker_url: where SageMaker answers; None for its own address.
        models: of our own, by name; those with a published checkpoint have an endpoint, see `cdk/checkpoints.json`.
        torch_cpu_index: package index with wheels of torch for CPUs alone, which make the models' image for CPUs 4 GB
            smaller; None for the default index.
        portraits: who makes portraits whose request does not say it: fal, or FLUX of `models`.
        model_exchange_days: how long requests to models, and their answers, lie in the bucket.
        gpu: the lane of ComfyUI.
        alarms: when they ring.
        platform: of the Lambda functions.
        snap_start: whether the API starts from a snapshot.
        tracing: whether functions send traces to X-Ray.
        waf: whether a web application firewall stands before the API.
        log_days: how long logs are kept.
        emulated: whether it runs on the emulator; what that lacks is left out.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9]{1,15}$")
    account: str | None = None
    region: str | None = None
    name_suffix: str = ""
    keep_data: bool = True
    result_days: int = Field(default=90, ge=1, le=3650)
    cdn_base_url: str | None = None
    upload_base_url: str | None = None
    public_url: str | None = None
    insecure_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = Field(min_length=1)
    usage_plans: dict[str, UsagePlan] = {
        "studio": UsagePlan(rate=50, burst=200),
        "trial": UsagePlan(rate=2, burst=5, quota_per_day=200),
    }
    api_keys: tuple[ApiKey, ...] = (ApiKey(name="studio", plan="studio"), ApiKey(name="trial", plan="trial"))
    api_stage: str = "live"
    providers: Providers = Providers()
    worker: Worker = Worker()
    queue_max: dict[str, int] = {"body-masks": 1000}
    mask_assets_url: str | None = Field(default=None, pattern=r"^https?://")
    sagemaker_url: str | None = None
    models: dict[_ModelName, ModelEndpoint] = models(schp_max=4, segment_min=1, segment_max=4, heavy_max=2)
    torch_cpu_index: str | None = Field(default=None, pattern=r"^https://")
    portraits: Route = "fal"
    model_exchange_days: int = Field(default=3, ge=1, le=30)
    gpu: Gpu = Gpu()
    alarms: Alarms = Alarms()
    platform: Platform = Platform()
    snap_start: bool = True
    tracing: bool = True
    waf: bool = True
    log_days: int = 30
    emulated: bool = False

    @model_validator(mode="after")
    def _plans_exist(self) -> Self:
        unknown = {key.plan for key in self.api_keys} - set(self.usage_plans)
        if unknown:
            raise ValueError(f"api_keys name usage plans that do not exist: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        longest_s = self.providers.ark_limit_s + EXTRA_IMAGE_S * (MAX_PICTURES - 1) + AFTER_PAYING_S
        if longest_s > self.worker.timeout_s:
            raise ValueError(
                f"a batch of {MAX_PICTURES} pictures takes {longest_s:g} s at most, worker.timeout_s is "
                f"{self.worker.timeout_s}: a call that is cut off is paid and lost"
            )
        return self


DEV = Stage(
    name="dev",
    name_suffix="-dev",
    keep_data=False,
    result_days=14,
    cors_origins=("http://localhost:3000", "http://127.0.0.1:3000", "http://localhost:5173"),
    worker=Worker(concurrency=10),
    models=models(schp_max=1, segment_min=0, segment_max=1, heavy_max=1),
    gpu=Gpu(max_spot=1),
)

PROD = Stage(
    name="prod",
    cors_origins=("https://studio.example.com",),
    gpu=Gpu(warm_windows=(WarmWindow(days="MON-FRI", from_hour=8, to_hour=20, time_zone="Asia/Shanghai", workers=1),)),
)


def local_stage(
    *,
    front_door: str,
    stand_ins: str,
    python: str,
    architecture: str,
    dashscope_base_url: str | None = None,
    ark_base_url: str | None = None,
    fal_base_url: str | None = None,
) -> Stage:
    """Return the stage that is deployed to the emulator.

    Args:
        front_door: origin of the local front door.
        stand_ins: origin of the providers' stand-ins.
        python: minor version of the interpreter that runs the emulator, and so the functions.
        architecture: of this machine.
        dashscope_base_url: the real endpoint, if a real key is at hand.
        ark_base_url: the real endpoint, if a real key is at hand.
        fal_base_url: the real queue, if a real key is at hand; its webhooks do not get here, jobs are looked at.
    """
    return Stage(
        name="local",
        account="000000000000",
        region="us-east-1",
        keep_data=False,
        result_days=30,
        cdn_base_url=front_door,
        upload_base_url=front_door,
        public_url=front_door,
        insecure_hosts=(stand_ins.split("//", 1)[1],),
        cors_origins=("http://localhost:3000", front_door),
        usage_plans={
            "studio": UsagePlan(rate=500, burst=1000),
            "trial": UsagePlan(rate=2, burst=5, quota_per_day=200),
        },
        providers=Providers(
            dashscope_base_url=dashscope_base_url or f"{stand_ins}/compatible-mode/v1",
            ark_base_url=ark_base_url or f"{stand_ins}/api/v3",
            fal_base_url=fal_base_url or f"{stand_ins}/fal-queue",
            fal_jwks_url=f"{stand_ins}/fal/.well-known/jwks.json",
            job_first_look_s=2 if fal_base_url else 15,
        ),
        worker=Worker(concurrency=8),
        mask_assets_url=f"{stand_ins}/mask-assets",
        sagemaker_url=stand_ins,
        platform=Platform.model_validate({"python": python, "architecture": architecture}),
        snap_start=False,
        tracing=False,
        waf=False,
        log_days=7,
        emulated=True,
    )
