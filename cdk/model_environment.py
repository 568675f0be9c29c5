"""What a model's server is told before anything is deployed."""

from backlot.assets import MODEL_REQUEST_PREFIX, task_checkpoints_prefix
from cdk.config import Stage
from cdk.names import endpoint_name


def release_key(stage: Stage, model: str) -> str:
    """Return the key of the object that has a model's memory released when it is written."""
    return f"{MODEL_REQUEST_PREFIX}{endpoint_name(stage, model)}/release"


def server_settings(stage: Stage, model: str, bucket: str) -> dict[str, str]:
    """Return the variables of a model's server that a stage decides.

    Args:
        stage: of the endpoint.
        model: that it hosts.
        bucket: name of the stage's bucket, or what stands for it in a template.
    """
    config = stage.models[model]
    settings = {
        "MODEL_CLASS": config.model_class,
        "MAX_CONCURRENT": str(config.parallel_runs),
        # All that SageMaker hands over at once has a place, or the server would answer 503.
        "MAX_QUEUE": str(config.concurrency),
        "RELEASE_OBJECT": f"s3://{bucket}/{release_key(stage, model)}",
    }
    if config.files_gb:
        settings["FILES_PREFIX"] = f"s3://{bucket}/{task_checkpoints_prefix(model)}"
        settings["FILES_BYTES"] = str(config.files_gb * 10**9)
    return settings
