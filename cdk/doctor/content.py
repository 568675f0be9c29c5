"""Checks of what an operator puts there: secrets and models."""

from collections.abc import Iterator

from backlot.aws.secrets import variable
from backlot.operations import catalogue
from backlot.operations.identity_portrait import FLUX, OWN
from backlot.providers.fal import Fal
from backlot.providers.mask_assets import MaskAssets
from cdk.checkpoints import MODEL_PREFIX, Checkpoints, weights_prefix
from cdk.config import Stage
from cdk.doctor.findings import Finding, ok, problem, warning
from cdk.doctor.lane import GpuLane
from cdk.doctor.port import Account
from cdk.gpu_models import COMFYUI
from cdk.names import bucket_name, secrets_prefix


def providers(stage: Stage) -> list[str]:
    """Return the names of the secrets that an operator sets, behind the stage's prefix."""
    named = {provider for operation in catalogue().values() for provider in operation.providers}
    return sorted(named | ({MaskAssets.name} if stage.mask_assets_url else set()))


def secrets(stage: Stage, account: Account) -> Iterator[Finding]:
    """Look whether the providers' keys are set."""
    for provider in providers(stage):
        name = secrets_prefix(stage) + provider
        put = f"aws secretsmanager put-secret-value --region {account.region} --secret-id {name} --secret-string …"
        match account.secret(name):
            case "set":
                yield ok(f"{variable(provider)} is set")
            case "empty" if provider == Fal.name and stage.portraits == OWN:
                yield warning(f"{variable(provider)} is not set; requests that name the route fal fail", put)
            case "empty":
                yield problem(f"{variable(provider)} is not set", put)
            case "missing":
                yield warning(f"{variable(provider)} has no place yet", f"deploy, then {put}")
            case "deleted":
                yield problem(
                    f"the secret {name} was deleted by hand, and its name is taken for some days",
                    f"aws secretsmanager restore-secret --region {account.region} --secret-id {name}",
                )


def checkpoints(stage: Stage, account: Account) -> Iterator[Finding]:
    """Look whether published checkpoints lie in the bucket."""
    bucket = bucket_name(stage, account.number, account.region)
    for model, checkpoint in Checkpoints.read().of(stage).items():
        prefix = weights_prefix(model, checkpoint.sha256)
        if account.has_bucket(bucket) and account.sizes(bucket, prefix):
            yield ok(f"the checkpoint of {model} lies in the bucket")
        else:
            yield problem(
                f"cdk/checkpoints.json names a checkpoint of {model} that is not at s3://{bucket}/{prefix}",
                f"make publish-model MODEL={model} STAGE={stage.name} WEIGHTS=…, or take it out of the file",
            )


def portraits(stage: Stage) -> Iterator[Finding]:
    """Look whether FLUX is published, if portraits are to be made by it."""
    if stage.portraits != OWN:
        return
    published = Checkpoints.read().of(stage).get(FLUX)
    publish = f"make publish-model MODEL={FLUX} STAGE={stage.name} WEIGHTS=…, or portraits='fal' in cdk/config.py"
    if published is None:
        yield problem(f"portraits are to be made by {FLUX}, which has no checkpoint: they are refused", publish)
    elif not published.found.get("identity", True):
        yield problem(f"portraits are to be made by {FLUX}, which was published without PuLID: they fail", publish)
    else:
        yield ok(f"portraits are made by {FLUX}")


def licences(stage: Stage) -> Iterator[Finding]:
    """Tell which parts of published models are not for commercial use."""
    for model, checkpoint in Checkpoints.read().of(stage).items():
        for sentence in checkpoint.restrictions:
            yield warning(f"{model}: {sentence}", "docs/models.md has every part's licence")


def gpu_models(stage: Stage, lane: GpuLane, account: Account) -> Iterator[Finding]:
    """Look whether the GPU lane's published models lie in the bucket, with their sizes."""
    if not lane.sizes:
        return
    bucket = bucket_name(stage, account.number, account.region)
    there = account.sizes(bucket, f"{MODEL_PREFIX}{COMFYUI}/") if account.has_bucket(bucket) else {}
    wrong = [key for key, size_bytes in lane.sizes.items() if there.get(key) != size_bytes]
    for key in wrong:
        size = there.get(key)
        is_there = "is not there" if size is None else f"has {size} bytes"
        yield problem(
            f"s3://{bucket}/{key} {is_there}, containers/comfyui/models.yaml says {lane.sizes[key]} bytes",
            f"make publish-gpu-model STAGE={stage.name} FILE={key.rsplit('/', 1)[-1]}",
        )
    if not wrong:
        yield ok(f"{len(lane.sizes)} models of the GPU lane lie in the bucket")
