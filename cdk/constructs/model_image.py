"""The container image of the model server."""

from typing import Literal

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from constructs import Construct

from cdk.constructs.acknowledged import accept
from cdk.packaging import ROOT

DOCKERFILE = "containers/model_server/Dockerfile"

Platform = Literal["cpu", "cuda"]


#: What the Dockerfile may copy; it is little, for whatever lies in it changes every model's endpoint.
CONTENTS = (
    "backlot/__init__.py",
    "backlot/assets.py",
    "backlot/errors.py",
    "backlot/images",
    "backlot/settings.py",
    "containers/model_server",
    "requirements/models.txt",
    "sagemaker_models",
)


class ModelImage(Construct):
    """The image of `containers/model_server` for one platform; Docker builds it when the stack is deployed.

    Args:
        platform: given to the Dockerfile as its argument `DEVICE`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        let_in = sorted({part for path in CONTENTS for part in (path.split("/")[0], path, f"{path}/**")})
        self._asset = ecr_assets.DockerImageAsset(
            self,
            "Asset",
            directory=str(ROOT),
            file=DOCKERFILE,
            platform=ecr_assets.Platform.LINUX_AMD64,
            build_args={"DEVICE": platform},
            exclude=["*", *(f"!{path}" for path in let_in), "__pycache__"],
            ignore_mode=IgnoreMode.GIT,
        )
        self.uri = self._asset.image_uri

    def grant_pull(self, role: iam.Role) -> None:
        """Let a role pull the image."""
        self._asset.repository.grant_pull(role)
        accept(role, "a registry's token has no resource to name", "IAM5[Resource::*]")
