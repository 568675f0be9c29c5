"""The layer with the libraries of all functions."""

from aws_cdk import AssetHashType
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.config import Platform
from cdk.packaging import layer_archive

ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}
RUNTIMES = {
    "3.11": lambda_.Runtime.PYTHON_3_11,
    "3.12": lambda_.Runtime.PYTHON_3_12,
    "3.13": lambda_.Runtime.PYTHON_3_13,
}


class DependencyLayer(Construct):
    """One layer, built for the platform from the lock file."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        archive = layer_archive(platform)
        self.version = lambda_.LayerVersion(
            self,
            "Version",
            code=lambda_.Code.from_asset(str(archive), asset_hash=archive.stem, asset_hash_type=AssetHashType.CUSTOM),
            compatible_runtimes=[RUNTIMES[platform.python]],
            compatible_architectures=[ARCHITECTURES[platform.architecture]],
            description="Libraries of Backlot's functions, see requirements/layer.txt",
        )
