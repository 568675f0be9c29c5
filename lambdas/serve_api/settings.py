"""Settings of serve_api."""

from pydantic import Field, Json

from backlot.operations.identity_portrait import Route
from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What serve_api needs to know.

    Args:
        stage: name of the stage.
        task_store: name of the table of tasks.
        idempotency_table: name of the table of idempotency keys.
        state_machine_prefix: ARN of an operation's state machine without the operation's name.
        queue_url: URL of the queue that workers listen to.
        bucket: name of the bucket of results.
        cdn_base_url: where the CDN serves the bucket, without a trailing slash.
        insecure_hosts: `host:port`, separated by commas, of image hosts that may be plain http or private.
        provider_secrets_prefix: a provider's secret is called this and the provider's name.
        seedream_model: id of the model that is asked when a request names none.
        seedream_models: models that requests may name: `alias=id`, separated by commas.
        webhook_secret: name of the secret from which signing keys of webhooks are made.
        upload_base_url: origin that forms of uploads name; empty for S3's own.
        cors_origins: origins of pages that may call the API, separated by commas.
        task_days: how long tasks are kept, days.
        queue_max: how many tasks of an operation may wait or run at once, JSON; of others, any number.
        node_classes: classes of ComfyUI's that workflows of callers may use, JSON.
        closed_lanes: lanes whose machines are not deployed, separated by commas.
        closed_models: models of our own that have no endpoint, separated by commas.
        portrait_route: who makes portraits whose request does not say it.
        delivers_masks: whether the stage has a mask asset service, to which `POST /process` has its masks delivered.
        model_endpoints: name of each model's endpoint, JSON.
        model_concurrency: how many requests one instance of the model for body masks works on at once.
    """

    stage: str
    task_store: str
    idempotency_table: str
    state_machine_prefix: str
    queue_url: str
    bucket: str
    cdn_base_url: str = Field(pattern=r"^https?://.*[^/]$")
    insecure_hosts: str
    provider_secrets_prefix: str
    seedream_model: str
    seedream_models: str = Field(pattern=r"^([\w.-]+=[\w.-]+,)*[\w.-]+=[\w.-]+$")
    webhook_secret: str
    upload_base_url: str
    cors_origins: str
    task_days: int = Field(ge=1, le=3650)
    queue_max: Json[dict[str, int]]
    node_classes: Json[tuple[str, ...]]
    closed_lanes: str
    closed_models: str
    portrait_route: Route
    delivers_masks: bool
    model_endpoints: Json[dict[str, str]]
    model_concurrency: int = Field(ge=1, le=1000)
