"""The models' part of a stage: what each endpoint runs on, and within which bounds."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

#: A SageMaker instance type: `ml.g4dn.xlarge` has the family g, the generation 4 and the traits dn.
_INSTANCE_TYPE = re.compile(r"ml\.(?P<family>[a-z]+)\d(?P<traits>[a-z0-9-]*)\.\w+")

#: Families with NVIDIA GPUs, and families with other accelerators, for which nothing is built.
_GPU_FAMILIES, _OTHER_ACCELERATORS = {"g", "p"}, {"dl", "inf", "trn"}

#: The only machine image of SageMaker's whose driver (580) is new enough for the CUDA 13.0 of torch 2.13's wheels. With
#: an older one torch finds no GPU and works on the processor. Source: botocore 1.44.5's model of SageMaker, and the
#: requirements of torch 2.13.0, read 2026-11-21.
CUDA_13 = "al2023-ami-sagemaker-inference-gpu-4-1"

_Concurrency = Annotated[int, Field(ge=1, le=1000)]
_InvocationTimeout = Annotated[int, Field(ge=1, le=3600)]
_ProvisionTimeout = Annotated[int, Field(ge=300, le=3600)]
_StartTimeout = Annotated[int, Field(ge=60, le=3600)]


class ModelEndpoint(BaseModel, frozen=True, extra="forbid"):
    """A SageMaker endpoint that hosts one model of ours; bounds without a reason are SageMaker's own.

    Args:
        kind: heavy models take minutes and a GPU, light ones less than a second.
        model_class: what the server hosts, `package.module:Class`.
        platform: of the container image.
        instance_types: where it runs, the most wanted first; the next is taken when AWS has none of those before.
        output_prefixes: below which its requests may name outputs.
        input_prefixes: below which its requests may name inputs that no caller may name.
        files_gb: room on an instance's disk for large files that requests name, tasks' checkpoints; 0 if none do.
        concurrency: requests that SageMaker hands to an instance at once.
        parallel_runs: how many of those the model works on at once; the others wait in the server.
        invocation_timeout_s: longest time for one request, once an instance has it.
        request_ttl_s: how long a request may wait for an instance; the time for waking one up is part of it.
        min_instances: how far it scales in.
        max_instances: how far it scales out.
        backlog_per_instance: requests waiting or at work for each instance that scaling aims at.
        scale_in_cooldown_s: between two steps inwards; SageMaker leaves zero instances only after it.
        scale_out_cooldown_s: between two steps outwards.
        wake_after_min: for how many minutes requests wait at zero instances before one is started.
        wake_cooldown_s: after which a second one is started, if the first is still not there.
        provision_timeout_s: longest wait for AWS to find an instance.
        download_timeout_s: longest time for the weights to come from S3.
        startup_timeout_s: longest time until the container answers `/ping`.
        volume_gb: of the disk for the weights; None for SageMaker's own choice, and for instances with disks.
        inference_ami: picks the CUDA driver; SageMaker's own choice is too old for the image's torch.
        alarm_failures: requests that failed within 5 minutes.
        alarm_oldest_s: age of the oldest request; more than waking up takes, which is about ten minutes.
    """

    kind: Literal["heavy", "light"]
    model_class: str = Field(pattern=r"^sagemaker_models(\.[a-z_]+)+:[A-Z]\w*$")
    platform: Literal["cpu", "cuda"]
    instance_types: tuple[str, ...] = Field(min_length=1, max_length=5)
    output_prefixes: tuple[str, ...] = Field(min_length=1)
    input_prefixes: tuple[str, ...] = ()
    files_gb: int = Field(default=0, ge=0, le=200)
    concurrency: _Concurrency
    parallel_runs: int = Field(default=1, ge=1, le=64)
    invocation_timeout_s: _InvocationTimeout
    request_ttl_s: int = Field(default=3600, ge=60, le=21_600)
    min_instances: int = Field(default=0, ge=0)
    max_instances: int = Field(default=1, ge=1)
    backlog_per_instance: float = Field(gt=0)
    scale_in_cooldown_s: int = Field(default=300, ge=0)
    scale_out_cooldown_s: int = Field(default=300, ge=0)
    wake_after_min: int = Field(default=2, ge=1)
    wake_cooldown_s: int = Field(default=300, ge=0)
    provision_timeout_s: _ProvisionTimeout = 900
    download_timeout_s: _StartTimeout = 600
    startup_timeout_s: _StartTimeout = 600
    volume_gb: int | None = Field(default=None, ge=1, le=512)
    inference_ami: str | None = None
    alarm_failures: int = Field(default=3, ge=1)
    alarm_oldest_s: int = Field(default=1200, ge=60)

    @model_validator(mode="after")
    def _instances_fit(self) -> Self:
        for name in self.instance_types:
            parts = _INSTANCE_TYPE.fullmatch(name)
            if parts is None:
                raise ValueError(f"{name!r} is no instance type of SageMaker's")
            family, traits = parts["family"], parts["traits"]
            if family in _OTHER_ACCELERATORS or "g" in traits.partition("-")[0]:
                raise ValueError(f"the image is built for x86_64 and NVIDIA's GPUs, {name} has neither")
            if (family in _GPU_FAMILIES) is not (self.platform == "cuda"):
                raise ValueError(f"platform {self.platform} does not fit {name}")
            if self.volume_gb is not None and (family in _GPU_FAMILIES or "d" in traits):
                raise ValueError(f"{name} has disks of its own; leave volume_gb out")
        if len(set(self.instance_types)) < len(self.instance_types):
            raise ValueError("instance_types names a type twice")
        if self.inference_ami is not None and self.platform == "cpu":
            raise ValueError("inference_ami picks a GPU's driver; platform is cpu")
        if self.inference_ami is None and self.platform == "cuda":
            raise ValueError(f"without inference_ami the driver is older than torch's CUDA; take {CUDA_13}")
        return self

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(f"min_instances {self.min_instances} is above max_instances {self.max_instances}")
        if self.parallel_runs > self.concurrency:
            raise ValueError(f"parallel_runs {self.parallel_runs} is above concurrency {self.concurrency}")
        if self.alarm_oldest_s >= self.request_ttl_s:
            raise ValueError(f"alarm_oldest_s {self.alarm_oldest_s} rings after requests have expired")
        return self


class LightModel(ModelEndpoint):
    """A model that answers within a second."""

    kind: Literal["heavy", "light"] = "light"
    concurrency: _Concurrency = 20
    invocation_timeout_s: _InvocationTimeout = 300


class HeavyModel(ModelEndpoint):
    """A model that needs a GPU and up to minutes; the longest of its requests may wait for two others before it."""

    kind: Literal["heavy", "light"] = "heavy"
    concurrency: _Concurrency = 3
    invocation_timeout_s: _InvocationTimeout = 1800


def schp(*, max_instances: int) -> LightModel:
    """Return SCHP's endpoint, on CPUs.

    SCHP needs 175 billion operations a picture. The two cores of these types have bfloat16 units for them; the third
    type is for days on which AWS is short of the others. The smallest GPU instance does more, but costs several times
    as much for the quarter of an hour that every waking up lasts at least, loads an image of several GB first, and new
    accounts have a quota of none. When pictures come all day, several a second, `platform="cuda"` with
    `ml.g4dn.xlarge` is cheaper.
    """
    return LightModel(
        model_class="sagemaker_models.schp.model:Schp",
        platform="cpu",
        instance_types=("ml.c7i.xlarge", "ml.m7i.xlarge", "ml.c7i.2xlarge"),
        output_prefixes=("images/body_masks/",),
        max_instances=max_instances,
        # About ten seconds' work.
        backlog_per_instance=50,
    )


def segment(*, min_instances: int, max_instances: int) -> LightModel:
    """Return the endpoint of masks by clicks and of backgrounds, on CPUs.

    Somebody looks at the picture while the first click is worked on: twice SCHP's cores, for an embedding of SAM 2.1
    tiny takes 1.6 s on two. A background by BiRefNet takes a quarter of a minute on four, and 5 GB; the model makes one
    at a time, and clicks go past those that wait for it as long as they have a place left.
    """
    return LightModel(
        model_class="sagemaker_models.segment.model:Segment",
        platform="cpu",
        instance_types=("ml.c7i.2xlarge", "ml.m7i.2xlarge", "ml.c7i.4xlarge"),
        output_prefixes=("images/smart_masks/", "images/cut_outs/"),
        parallel_runs=4,
        min_instances=min_instances,
        max_instances=max_instances,
        # Half a minute's work, if most of it are clicks.
        backlog_per_instance=20,
    )


def qwen_edit(*, max_instances: int) -> HeavyModel:
    """Return the endpoint of masked edits.

    58 GB of weights pass through the host's memory, so that 64 GiB are barely enough: 128 are taken. A g6e's GPU of
    48 GB holds the transformer in 8 bits, a g7e's of 96 GB all in 16; whose checkpoints use Lightning, which 8 bits
    spoil, puts g7e first. From nothing to the first edit it is a quarter of an hour: two minutes for the alarm, the
    rest for the instance, the image of 6 GB, 58 GB from S3 and once more from the disk.
    """
    return HeavyModel(
        model_class="sagemaker_models.qwen_edit.model:QwenEdit",
        platform="cuda",
        instance_types=("ml.g6e.4xlarge", "ml.g7e.4xlarge", "ml.g6e.8xlarge"),
        output_prefixes=("images/masked_edits/", "debug/"),
        files_gb=20,
        max_instances=max_instances,
        # What one instance does in the time that another one takes to come, at a minute an edit.
        backlog_per_instance=15,
        # Waking up takes so long that it is worth to wait for the next request.
        scale_in_cooldown_s=900,
        provision_timeout_s=1800,
        download_timeout_s=1800,
        startup_timeout_s=1800,
        inference_ami=CUDA_13,
        alarm_oldest_s=2700,
    )


def flux(*, max_instances: int) -> HeavyModel:
    """Return the endpoint of portraits: FLUX with PuLID has 41 GB at work, in 16 bits on a GPU of 48 GB.

    GPUs of 24 GB would do with weights in 8 bits that wait on the host, which costs details of faces and most of the
    time. The face is read where the step has it, for it is deleted after an hour.
    """
    return HeavyModel(
        model_class="sagemaker_models.flux.model:Flux",
        platform="cuda",
        instance_types=("ml.g6e.2xlarge", "ml.g6e.4xlarge", "ml.g7e.2xlarge"),
        output_prefixes=("portraits/",),
        input_prefixes=("faces/",),
        max_instances=max_instances,
        # What one instance does in the time that another one takes to come, at half a minute a portrait.
        backlog_per_instance=20,
        scale_in_cooldown_s=900,
        provision_timeout_s=1800,
        download_timeout_s=1800,
        startup_timeout_s=1200,
        inference_ami=CUDA_13,
        alarm_oldest_s=2400,
    )


def models(*, schp_max: int, segment_min: int, segment_max: int, heavy_max: int) -> dict[str, ModelEndpoint]:
    """Return a stage's models by name.

    Args:
        schp_max: most instances.
        segment_min: least instances; one that is always there answers the first click.
        segment_max: most instances.
        heavy_max: most instances of each model on GPUs.
    """
    return {
        "schp": schp(max_instances=schp_max),
        "segment": segment(min_instances=segment_min, max_instances=segment_max),
        "qwen-edit": qwen_edit(max_instances=heavy_max),
        "flux": flux(max_instances=heavy_max),
    }
