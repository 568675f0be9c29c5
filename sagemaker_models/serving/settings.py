"""Settings of the model server; docs/serving.md lists them."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """The model server's settings, each from the variable of the same name in capitals.

    Args:
        model_class: `package.module:Class` of the model.
        weights_folder: where SageMaker puts the model's files.
        server_host: address to listen on.
        server_port: SageMaker's containers answer on 8080.
        max_concurrent: calls of `run` at a time, each in a thread.
        max_queue: requests that are let in beyond those; further ones are answered 503 at once.
        batch_wait_ms: longest wait for requests that are on their way already, before a batch that is not full runs.
        max_body_bytes: longest body of a request, inline inputs in base64 among it.
        max_input_bytes: longest input.
        files_prefix: address below which large files that requests name may lie, `s3://bucket/…/`; empty for nowhere.
        files_bytes: room on the disk for those files.
        release_object: object that has the model's memory released when it is written again, `s3://bucket/key`; empty
            for none.
        release_look_s: how often it is looked at.
        drain_s: time for running requests after SIGTERM; SageMaker kills 30 s after it.
        failed_s: how long the reason of a failed load is still answered before the process exits.
    """

    model_class: Annotated[str, Field(min_length=1)] = ""
    weights_folder: Path = Path("/opt/ml/model")
    server_host: str = "0.0.0.0"  # noqa: S104 - the container's network is the platform's
    server_port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    max_concurrent: Annotated[int, Field(ge=1, le=64)] = 1
    max_queue: Annotated[int, Field(ge=0, le=1000)] = 16
    batch_wait_ms: Annotated[float, Field(ge=0, le=100)] = 5.0
    max_body_bytes: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 64_000_000
    max_input_bytes: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 48_000_000
    files_prefix: Annotated[str, Field(pattern=r"^(s3://[^/]+/(.+/)?)?$")] = ""
    files_bytes: Annotated[int, Field(ge=1000)] = 20_000_000_000
    release_object: Annotated[str, Field(pattern=r"^(s3://[^/]+/.+)?$")] = ""
    release_look_s: Annotated[float, Field(ge=0.05, le=600)] = 10.0
    drain_s: Annotated[float, Field(ge=0, le=28)] = 25.0
    failed_s: Annotated[float, Field(ge=0, le=60)] = 5.0

    @classmethod
    def chosen(cls, arguments: dict[str, Any]) -> Self:
        """Read the environment and what the command line has instead.

        Args:
            arguments: by the name of the variable that each replaces.

        Raises:
            pydantic.ValidationError: a value is missing or outside its bounds.
        """
        return cls.model_validate(cls.from_environment().model_dump(by_alias=True) | arguments)
