"""The worker of the GPU lane as an ECS task: its image, its containers, and what they know."""

import json
from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept
from cdk.constructs.asset_store import AssetStore
from cdk.constructs.docker_image import DockerImage
from cdk.constructs.gpu_hosts import MODELS_ON_HOST
from cdk.constructs.python_function import RETENTION, service_name
from cdk.constructs.task_tables import TaskTables
from cdk.constructs.work_queue import WorkQueue
from cdk.gpu_environment import worker_settings

DOCKERFILE = "containers/comfyui/Dockerfile"

#: What the Dockerfile may copy. The manifest is not among it: what is published changes the task and not the image.
CONTENTS = (
    "backlot",
    "containers/__init__.py",
    "containers/comfyui/Dockerfile",
    "containers/comfyui/Dockerfile.dockerignore",
    "containers/comfyui/__init__.py",
    "containers/comfyui/custom_nodes.txt",
    "containers/comfyui/models",
    "containers/comfyui/worker",
    "containers/comfyui/workflows",
    "requirements/worker.txt",
)

#: ComfyUI's folder of models, inputs and outputs, and where it is installed; as in the Dockerfile.
COMFYUI_FOLDER, COMFYUI_CODE = "/data", "/opt/comfyui"

#: Where ECS tells a container its credentials, and what it may ask of its agent; the worker's business alone.
ECS_VARIABLES = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "ECS_AGENT_URI",
    "ECS_CONTAINER_METADATA_URI",
    "ECS_CONTAINER_METADATA_URI_V4",
)

#: ComfyUI and its custom nodes are not told the way to the task's credentials, and AWS' libraries in them do not turn
#: to the host's instead. ComfyUI listens on loopback only. Metadata would put prompts and graphs into pictures that the
#: CDN serves; API nodes would spend somebody's money at other providers. Previews are made at each step; who wants none
#: throws them away.
COMFYUI_COMMAND = (
    f"env {' '.join(f'-u {name}' for name in ECS_VARIABLES)} AWS_EC2_METADATA_DISABLED=true"
    f" python {COMFYUI_CODE}/main.py --listen 127.0.0.1 --port 8188 --base-directory {COMFYUI_FOLDER}"
    f" --front-end-root {COMFYUI_CODE}/no-front-end --database-url sqlite:///:memory: --disable-auto-launch"
    " --disable-api-nodes --disable-metadata --preview-method auto --log-stdout"
)

#: Port of the worker's readiness.
PORT = 8189

#: EC2's instance metadata.
METADATA_URL = "http://169.254.169.254"


def lane_environment(stage: Stage, *, queue: WorkQueue, tables: TaskTables, assets: AssetStore) -> dict[str, str]:
    """Return what a worker knows wherever it runs: the variables of its settings but those of its host."""
    return {
        **worker_settings(stage),
        "TASK_STORE": tables.task_store.table_name,
        "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
        "QUEUE_URL": queue.queue.queue_url,
        "BUCKET": assets.bucket.bucket_name,
        "CDN_BASE_URL": assets.base_url,
        "POWERTOOLS_SERVICE_NAME": service_name(stage),
    }


class GpuWorker(Construct):
    """The task: a container that brings the models and ends, then the worker, which starts ComfyUI.

    Args:
        stage: of the deployment.
        environment: see `lane_environment`.
        models: the files of the manifest, as they are published in the stage.
        bucket: name of the bucket with them.
        role: of both containers.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        environment: dict[str, str],
        models: Sequence[dict[str, Any]],
        bucket: str,
        role: iam.Role,
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        image = DockerImage(self, "Image", dockerfile=DOCKERFILE, contents=CONTENTS)
        self._image = ecs.ContainerImage.from_docker_image_asset(image.asset)
        self._log = logs.LogGroup(
            self, "Log", retention=RETENTION[stage.log_days], removal_policy=RemovalPolicy.DESTROY
        )
        execution_role = iam.Role(self, "ExecutionRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        image.grant_pull(execution_role)
        self._log.grant_write(execution_role)
        self.task = ecs.Ec2TaskDefinition(
            self,
            "Task",
            task_role=role,
            execution_role=execution_role.without_policy_updates(),
            # A network of its own: ComfyUI's loopback is nobody else's.
            network_mode=ecs.NetworkMode.BRIDGE,
            volumes=[ecs.Volume(name="models", host=ecs.Host(source_path=MODELS_ON_HOST))],
        )
        accept(self.task, "the environment holds names and numbers; secrets are none", "ECS2")
        worker = self._worker(environment)
        worker.add_container_dependencies(
            ecs.ContainerDependency(
                container=self._models(models, bucket), condition=ecs.ContainerDependencyCondition.SUCCESS
            )
        )

    def _models(self, models: Sequence[dict[str, Any]], bucket: str) -> ecs.ContainerDefinition:
        container = self._container(
            "models",
            essential=False,
            entry_point=["python", "-m", "containers.comfyui.models"],
            memory_reservation_mib=1024,
            environment={
                "BUCKET": bucket,
                "MODELS": json.dumps(models),
                "MODELS_FOLDER": f"{COMFYUI_FOLDER}/models",
                "CACHE_GB": str(self._stage.gpu.cache_gb),
            },
        )
        self._mount(container, read_only=False)
        return container

    def _worker(self, environment: dict[str, str]) -> ecs.ContainerDefinition:
        ready = f"from urllib.request import urlopen; urlopen('http://127.0.0.1:{PORT}/ready', timeout=5)"
        container = self._container(
            "worker",
            essential=True,
            gpu_count=1,
            # A reservation for the scheduler, and no limit: the GPU is the host's only one, so that nobody else comes.
            memory_reservation_mib=8192,
            stop_timeout=Duration.seconds(self._stage.gpu.stop_timeout_s),
            # A worker that is not ready for five minutes, whose ComfyUI does not start, is replaced.
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-c", ready],
                interval=Duration.seconds(30),
                timeout=Duration.seconds(10),
                retries=10,
                start_period=Duration.seconds(300),
            ),
            environment={
                **environment,
                "COMFYUI_URL": "http://127.0.0.1:8188",
                "COMFYUI_COMMAND": COMFYUI_COMMAND,
                "COMFYUI_FOLDER": COMFYUI_FOLDER,
                "SPOT_NOTICE_URL": METADATA_URL,
                "PORT": str(PORT),
            },
        )
        self._mount(container, read_only=True)
        return container

    def _container(self, name: str, *, environment: dict[str, str], **options: Any) -> ecs.ContainerDefinition:
        limits = ecs.LinuxParameters(self, f"{name.capitalize()}Limits", init_process_enabled=True)
        limits.drop_capabilities(ecs.Capability.ALL)
        return self.task.add_container(
            name,
            image=self._image,
            logging=ecs.LogDriver.aws_logs(stream_prefix=name, log_group=self._log),
            linux_parameters=limits,
            docker_security_options=["no-new-privileges"],
            environment={**environment, "AWS_DEFAULT_REGION": Stack.of(self).region},
            **options,
        )

    def _mount(self, container: ecs.ContainerDefinition, *, read_only: bool) -> None:
        container.add_mount_points(
            ecs.MountPoint(source_volume="models", container_path=f"{COMFYUI_FOLDER}/models", read_only=read_only)
        )
