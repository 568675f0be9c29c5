"""Settings of the worker."""

from pydantic import Field, Json

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What the worker needs to know, each from the variable of the same name in capitals.

    Credentials and the region come from the environment, too, as boto3 reads them.

    Args:
        stage: of the deployment, for the log.
        task_store: name of the table of tasks.
        idempotency_table: name of the table of the step ledger and of the fleet's record.
        queue_url: URL of the queue that it works on.
        bucket: name of the bucket of results.
        cdn_base_url: where the CDN serves the bucket, without a trailing slash.
        insecure_hosts: `host:port`, separated by commas, of image hosts that may be plain http or private.
        task_days: how long records are kept, days.
        comfyui_url: of the ComfyUI that it works with.
        comfyui_command: starts that ComfyUI; split like a shell does, and run without one. Empty if somebody else
            runs it.
        comfyui_folder: that ComfyUI's base folder, with `input` and `output` in it, whose old files are deleted; empty
            if that is not our business.
        node_classes: JSON list of the classes that graphs of callers may use.
        lease_s: how long a message and its step are ours without a sign of life, seconds.
        prompt_limit_s: longest run of a graph, seconds.
        stall_limit_s: longest silence of ComfyUI while a graph runs, seconds; a model of 20 GB loads in silence.
        drain_limit_s: how long the running graph may go on after SIGTERM or a spot notice, seconds; ECS kills at most
            120 s after SIGTERM.
        spot_notice_url: of EC2's instance metadata, `http://169.254.169.254`; empty if the host is not a spot instance.
        ecs_agent_uri: where ECS is asked not to stop this task while it works; ECS sets it. Empty outside ECS.
        port: of `GET /ready` and `GET /health`, on loopback.
    """

    stage: str = ""
    task_store: str
    idempotency_table: str
    queue_url: str
    bucket: str
    cdn_base_url: str = Field(pattern=r"^https?://.*[^/]$")
    insecure_hosts: str = ""
    task_days: int = Field(ge=1, le=3650)
    comfyui_url: str = Field("http://127.0.0.1:8188", pattern=r"^https?://.*[^/]$")
    comfyui_command: str = ""
    comfyui_folder: str = ""
    node_classes: Json[frozenset[str]]
    lease_s: int = Field(120, ge=3, le=3600)
    prompt_limit_s: float = Field(1800, gt=0, le=21_600)
    stall_limit_s: float = Field(600, gt=0, le=21_600)
    drain_limit_s: float = Field(100, ge=0, le=3600)
    spot_notice_url: str = Field("", pattern=r"^(https?://.*[^/])?$")
    ecs_agent_uri: str = ""
    port: int = Field(8189, ge=1, le=65_535)
