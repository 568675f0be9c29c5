"""Checks of what AWS lets the account have."""

from collections.abc import Iterator

from backlot.operations import catalogue
from cdk.checkpoints import Checkpoints
from cdk.config import Stage
from cdk.doctor.findings import Finding, ok, problem, warning
from cdk.doctor.lane import GpuLane
from cdk.doctor.port import Account, Quota
from cdk.model_config import ModelEndpoint
from cdk.names import stack_prefix

#: In vCPUs: all spot instances and all on-demand instances of the families g and vt.
SPOT_VCPUS, ON_DEMAND_VCPUS = "L-3819A6DF", "L-DB2E81BA"

#: Functions that run at once, and VPCs in a region.
CONCURRENCY, VPCS = "L-B99A9384", "L-F678F1CE"

#: Functions at once that the API and the smaller functions want, besides the workers.
_OTHER_FUNCTIONS = 40

_SPOT_ROLE = "AWSServiceRoleForEC2Spot"


def request(account: Account, quota: Quota, wanted: float) -> tuple[str, str]:
    """Return the command that asks for a quota, and its page."""
    command = (
        f"aws service-quotas request-service-quota-increase --region {account.region} --service-code {quota.service} "
        f"--quota-code {quota.code} --desired-value {wanted:g}"
    )
    page = "https://console.aws.amazon.com/servicequotas/home/services"
    return command, f"{page}/{quota.service}/quotas/{quota.code}?region={account.region}"


def gpu_hosts(lane: GpuLane, account: Account) -> Iterator[Finding]:
    """Hold the lane's hosts against the region and the account's vCPUs."""
    if lane.unpublished:
        yield warning(
            f"the GPU lane has no hosts as long as models are not published: {', '.join(lane.unpublished)}",
            "make publish-gpu-model",
        )
    gpu = lane.gpu
    zones = account.zones(gpu.instance_types)
    nowhere = [name for name in gpu.instance_types if not zones[name]]
    everywhere = {zone for each in zones.values() for zone in each}
    if len(nowhere) == len(gpu.instance_types):
        yield problem(f"{account.region} offers none of {', '.join(nowhere)}", "choose others in gpu.instance_types")
        return
    if nowhere:
        yield warning(f"{account.region} does not offer {', '.join(nowhere)}", "choose others in gpu.instance_types")
    if len(everywhere) < gpu.zones:
        yield warning(f"hosts are offered in {len(everywhere)} zones, {gpu.zones} are wanted", "lower gpu.zones")
    else:
        yield ok(f"hosts are offered in {', '.join(sorted(everywhere))}")
    vcpus = account.vcpus([name for name in gpu.instance_types if name not in nowhere])
    for code, workers in ((SPOT_VCPUS, gpu.max_spot), (ON_DEMAND_VCPUS, gpu.max_on_demand)):
        if workers and vcpus:
            yield _vcpus(account, account.quota("ec2", code), workers, min(vcpus.values()), max(vcpus.values()))
    if not account.has_role(_SPOT_ROLE):
        yield warning(
            f"the account has never had a spot instance: there is no role {_SPOT_ROLE}",
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        )


def _vcpus(account: Account, quota: Quota, workers: int, least: int, most: int) -> Finding:
    """Hold a quota against so many workers, on whichever of the instance types AWS has."""
    command, page = request(account, quota, workers * most)
    has = f"{quota.name}: {quota.value:g} vCPUs"
    if quota.value < least:
        return problem(f"{has}, a worker needs {least} to {most}", command, page)
    if quota.value < workers * most:
        fit = f"{int(quota.value // most)} to {int(quota.value // least)} workers of {workers}"
        return warning(f"{has} are enough for {fit}", command, page)
    return ok(f"{has} are enough for {workers} workers")


def network(stage: Stage, lane: GpuLane, account: Account) -> Iterator[Finding]:
    """See whether there is room for the lane's VPC."""
    if lane.unpublished or stack_prefix(stage) + "gpu" in account.stacks(stack_prefix(stage)):
        return
    quota, there = account.quota("vpc", VPCS), account.vpcs()
    if there >= quota.value:
        command, page = request(account, quota, there + 1)
        yield problem(f"{quota.name}: {there} of {quota.value:g} are there, the GPU lane needs one", command, page)
    else:
        yield ok(f"{quota.name}: {there} of {quota.value:g}")


def functions(stage: Stage, account: Account) -> Iterator[Finding]:
    """Hold the functions of the stage against what may run at once."""
    wanted, allowed = stage.worker.concurrency + _OTHER_FUNCTIONS, account.lambda_concurrency()
    if allowed < wanted:
        quota = Quota("lambda", CONCURRENCY, "Concurrent executions", allowed)
        command, page = request(account, quota, 1000)
        yield warning(
            f"Lambda runs {allowed} functions at once in this account; {stage.worker.concurrency} workers "
            f"(worker.concurrency) and the API want {wanted}",
            command,
            page,
        )
    else:
        yield ok(f"Lambda runs {allowed} functions at once in this account")


def model_endpoints(stage: Stage, account: Account) -> Iterator[Finding]:
    """Hold the endpoints of published models against SageMaker's quotas; an endpoint takes any of its types."""
    published = {name: stage.models[name] for name in Checkpoints.read().of(stage)}
    for name in sorted(set(stage.models) - set(published)):
        yield warning(
            f"{name} has no checkpoint, and so no endpoint{_refused_without(name)}",
            f"make publish-model MODEL={name} STAGE={stage.name} WEIGHTS=…",
        )
    if not published:
        return
    wanted = {_endpoint_quota(each) for model in published.values() for each in model.instance_types}
    found = account.quotas("sagemaker", wanted)
    for name, model in published.items():
        yield _endpoint(account, name, model, {each: found.get(_endpoint_quota(each)) for each in model.instance_types})


def _refused_without(model: str) -> str:
    operations = catalogue().values()
    names = [operation.name for operation in operations if model in operation.models]
    names += [
        f"{operation.name} with route {route}"
        for operation in operations
        for route, models in operation.models_by_route.items()
        if model in models
    ]
    return f"; refused as NOT_DEPLOYED: {', '.join(names)}" if names else ""


def _endpoint_quota(instance_type: str) -> str:
    return f"{instance_type} for endpoint usage"


def _endpoint(account: Account, name: str, model: ModelEndpoint, found: dict[str, Quota | None]) -> Finding:
    has = ", ".join(f"{each} {quota.value:g}" if quota else f"{each} unknown" for each, quota in found.items())
    known = [quota for quota in found.values() if quota]
    if not known:
        return warning(f"SageMaker tells no quota of {', '.join(found)} for {name}", "look for them by hand")
    command, page = request(account, known[0], model.max_instances)
    if not any(quota.value for quota in known):
        return problem(f"SageMaker's quota for {name} is 0 for each of its instance types ({has})", command, page)
    if max(quota.value for quota in known) < model.max_instances:
        return warning(
            f"SageMaker's quotas for {name} ({has}) are below its {model.max_instances} instances", command, page
        )
    return ok(f"SageMaker's quotas for {name}: {has}")
