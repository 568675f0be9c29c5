"""Brings the models; the worker's container starts when this one has ended well."""

import sys
from pathlib import Path

from backlot.aws.clients import patient_client
from backlot.aws.s3 import Bucket
from containers.comfyui.models.settings import Settings
from containers.comfyui.models.store import ModelsMissing, ModelStore


def main() -> int:
    """Bring the models that the environment names; return the exit code."""
    settings = Settings.from_environment()
    bucket = Bucket(patient_client("s3"), settings.bucket)

    def download(key: str, path: Path) -> None:
        if not bucket.download(key, path):
            raise ModelsMissing(f"there is no s3://{settings.bucket}/{key}; see make publish-gpu-model")

    try:
        ModelStore(settings.models_folder, settings.cache_gb * 10**9, download).hold(settings.models)
    except ModelsMissing as error:
        print(f"no worker starts here: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
