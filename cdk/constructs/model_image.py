"""The container image of the model server."""

from typing import Literal

from constructs import Construct

from cdk.constructs.docker_image import DockerImage

DOCKERFILE = "containers/model_server/Dockerfile"

Platform = Literal["cpu", "cuda"]


#: What the Dockerfile may copy; it is little, for whatever lies in it changes every model's endpoint.
CONTENTS = (
    "backlot/__init__.py",
    "backlot/assets.py",
    "backlot/errors.py",
    "backlot/images",
    "backlot/prompts.py",
    "backlot/settings.py",
    "containers/model_server",
    "requirements/models.txt",
    "sagemaker_models",
)


class ModelImage(DockerImage):
    """The image of `containers/model_server` for one platform.

    Args:
        platform: given to the Dockerfile as its argument `DEVICE`.
        torch_cpu_index: where wheels of torch for CPUs alone are; None for the package index' own, which need CUDA.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, platform: Platform, torch_cpu_index: str | None = None
    ) -> None:
        index = {"TORCH_INDEX_URL": torch_cpu_index} if torch_cpu_index and platform == "cpu" else {}
        arguments = {"DEVICE": platform, **index}
        super().__init__(scope, construct_id, dockerfile=DOCKERFILE, contents=CONTENTS, build_args=arguments)
