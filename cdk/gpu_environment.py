"""What a worker of the GPU lane knows before anything is deployed."""

import json

from cdk.config import Stage

#: What a worker needs between the end of its drain and its own, seconds.
LAST_WORDS_S = 20


def worker_settings(stage: Stage) -> dict[str, str]:
    """Return the variables of the worker's settings that a stage decides; deployment and host have the others."""
    gpu = stage.gpu
    return {
        "STAGE": stage.name,
        "INSECURE_HOSTS": ",".join(stage.insecure_hosts),
        "TASK_DAYS": str(stage.result_days),
        "NODE_CLASSES": json.dumps(gpu.node_classes),
        "LEASE_S": str(gpu.lease_s),
        "PROMPT_LIMIT_S": str(gpu.prompt_limit_s),
        "STALL_LIMIT_S": str(gpu.stall_limit_s),
        "DRAIN_LIMIT_S": str(gpu.stop_timeout_s - LAST_WORDS_S),
    }
