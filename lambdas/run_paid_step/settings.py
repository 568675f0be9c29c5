"""Settings of run_paid_step."""

from pydantic import Field, Json

from backlot.pacing import RateLimit
from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What the worker of the paid lane needs to know.

    Args:
        task_store: name of the table of tasks.
        idempotency_table: name of the table of the step ledger.
        queue_url: URL of the queue that it works on.
        bucket: name of the bucket of results.
        cdn_base_url: where the CDN serves the bucket, without a trailing slash.
        insecure_hosts: `host:port`, separated by commas, of image hosts that may be plain http or private.
        provider_secrets_prefix: a provider's secret is called this and the provider's name.
        task_days: how long records are kept, days.
        rate_limits: of the providers, JSON; one that is not named has none.
        dashscope_base_url: of DashScope's OpenAI-compatible endpoint in the key's region.
        qwen_vl_model: the detector; Qwen3-VL and later, because earlier families answer in pixels of a resized copy.
        dashscope_limit_s: longest wait for the detector, seconds.
        ark_base_url: of Ark's or ModelArk's API.
        seedream_model: model id, or the id of an endpoint of the account's own.
        ark_limit_s: longest wait for a picture, seconds; 2K pictures were measured at 26 to 43 s.
        fal_base_url: of fal's queue.
        fal_call_limit_s: longest wait for an answer of the queue itself, seconds.
        portrait_model: fal's model for portraits of a face.
        harmonize_model: fal's model that goes over a portrait.
        public_url_parameter: name of the parameter that holds our own address, for webhooks.
        job_first_look_s: after how long a job is looked at whose webhook has not come, seconds.
        job_limit_s: longest wait for a job, its time in the provider's queue included, seconds.
        mask_assets_url: where body masks are delivered; empty for nowhere.
    """

    task_store: str
    idempotency_table: str
    queue_url: str
    bucket: str
    cdn_base_url: str = Field(pattern=r"^https?://.*[^/]$")
    insecure_hosts: str
    provider_secrets_prefix: str
    task_days: int = Field(ge=1, le=3650)
    rate_limits: Json[dict[str, RateLimit]]
    dashscope_base_url: str = Field(pattern=r"^https?://")
    qwen_vl_model: str = Field(pattern=r"^qwen3")
    dashscope_limit_s: float = Field(gt=0, le=300)
    ark_base_url: str = Field(pattern=r"^https?://")
    seedream_model: str = Field(min_length=1)
    ark_limit_s: float = Field(gt=0, le=600)
    fal_base_url: str = Field(pattern=r"^https?://")
    fal_call_limit_s: float = Field(gt=0, le=120)
    portrait_model: str = Field(pattern=r"^[\w.-]+/[\w./-]+$")
    harmonize_model: str = Field(pattern=r"^[\w.-]+/[\w./-]+$")
    public_url_parameter: str
    job_first_look_s: float = Field(gt=0, le=120)
    job_limit_s: float = Field(gt=0, le=7200)
    mask_assets_url: str = Field(pattern=r"^(https?://.+)?$")
