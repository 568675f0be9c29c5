"""A container image of ours, which Docker builds when its stack is deployed."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from aws_cdk import IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from constructs import Construct

from cdk.constructs.acknowledged import accept
from cdk.packaging import ROOT


class DockerImage(Construct):
    """An image for x86_64.

    Args:
        dockerfile: in the repository.
        contents: files and folders that it may copy; whatever lies in them changes the image.
        build_args: the Dockerfile's arguments.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dockerfile: str,
        contents: Sequence[str],
        build_args: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        let_in = sorted({part for path in contents for part in (*_folders(path), path, f"{path}/**")})
        self.asset = ecr_assets.DockerImageAsset(
            self,
            "Asset",
            directory=str(ROOT),
            file=dockerfile,
            platform=ecr_assets.Platform.LINUX_AMD64,
            build_args=build_args,
            exclude=["*", *(f"!{path}" for path in let_in), "__pycache__"],
            ignore_mode=IgnoreMode.GIT,
        )
        self.uri = self.asset.image_uri

    def grant_pull(self, role: iam.Role) -> None:
        """Let a role pull the image."""
        self.asset.repository.grant_pull(role)
        accept(role, "a registry's token has no resource to name", "IAM5[Resource::*]")


def _folders(path: str) -> list[str]:
    """Return the folders above a path, which have to be let in for it."""
    return [str(folder) for folder in PurePosixPath(path).parents if folder.name]
