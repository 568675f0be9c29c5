"""Settings of run_paid_step."""

from pydantic import Field

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
        dashscope_base_url: of DashScope's OpenAI-compatible endpoint in the key's region.
        qwen_vl_model: the detector; Qwen3-VL and later, because earlier families answer in pixels of a resized copy.
        dashscope_limit_s: longest wait for the detector, seconds.
        ark_base_url: of Ark's or ModelArk's API.
        seedream_model: model id, or the id of an endpoint of the account's own.
        ark_limit_s: longest wait for a picture, seconds; 2K pictures were measured at 26 to 43 s.
    """

    task_store: str
    idempotency_table: str
    queue_url: str
    bucket: str
    cdn_base_url: str = Field(pattern=r"^https?://.*[^/]$")
    insecure_hosts: str
    provider_secrets_prefix: str
    task_days: int = Field(ge=1, le=3650)
    dashscope_base_url: str = Field(pattern=r"^https?://")
    qwen_vl_model: str = Field(pattern=r"^qwen3")
    dashscope_limit_s: float = Field(gt=0, le=300)
    ark_base_url: str = Field(pattern=r"^https?://")
    seedream_model: str = Field(min_length=1)
    ark_limit_s: float = Field(gt=0, le=600)
