"""What the doctor finds, and what it says to do."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from cdk.checkpoints import Checkpoint, Checkpoints
from cdk.config import DEV, PROD, Alarms, Worker
from cdk.doctor import __main__ as command
from cdk.doctor import content, deployment, quotas
from cdk.doctor.__main__ import diagnose
from cdk.doctor.account import AwsAccount
from cdk.doctor.findings import Finding, Level, ok, problem, warning, worst
from cdk.doctor.lane import GpuLane
from cdk.doctor.port import Machine, Quota, Unanswered, Unreachable
from cdk.gpu_config import Gpu
from cdk.gpu_models import Manifest, PublishedFile
from tests.unit.aws_answers import answering, heard, unreachable

MACHINE = Machine(node="22.11.0", docker=True, cdk=True)
SHA256 = "5c" * 32
VERSION = "v" * 32
GPU = Gpu(instance_types=("g6e.xlarge", "g6.4xlarge"), max_spot=4, max_on_demand=1, zones=2)
LANE = GpuLane(GPU, {"models/comfyui/aa/unet.safetensors": 19, "models/comfyui/bb/vae.safetensors": 2}, ())
NOTHING_PUBLISHED = GpuLane(GPU, {}, ("unet.safetensors", "vae.safetensors"))


@dataclass
class Memory:
    """An account that is as it should be, but for what a test changes."""

    number: str = "1"
    region: str = "us-east-1"
    version: int | None = 30
    statuses: dict[str, str] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    endpoint_limits: dict[str, float] = field(default_factory=dict)
    concurrency: int = 1000
    offered: dict[str, set[str]] = field(
        default_factory=lambda: {"g6e.xlarge": {"us-east-1a"}, "g6.4xlarge": {"us-east-1a", "us-east-1b"}}
    )
    vpc_count: int = 1
    roles: set[str] = field(default_factory=lambda: {"AWSServiceRoleForEC2Spot"})
    secrets: dict[str, str] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    objects: dict[str, int] = field(default_factory=dict)
    silent: str = ""

    def bootstrap_version(self):
        return self.version

    def stacks(self, prefix):
        return {name: status for name, status in self.statuses.items() if name.startswith(prefix)}

    def quota(self, service, code):
        return Quota(service, code, f"quota {code}", self.limits.get(code, 1000))

    def quotas(self, service, names):
        return {
            name: Quota(service, "L-1", name, value) for name, value in self.endpoint_limits.items() if name in names
        }

    def lambda_concurrency(self):
        if self.silent == "lambda":
            raise Unanswered("Lambda's settings of the account: AccessDenied")
        return self.concurrency

    def vcpus(self, instance_types):
        return {name: {"g6e.xlarge": 4, "g6.4xlarge": 16}[name] for name in instance_types}

    def zones(self, instance_types):
        return {name: self.offered.get(name, set()) for name in instance_types}

    def vpcs(self):
        return self.vpc_count

    def has_role(self, name):
        return name in self.roles

    def secret(self, name):
        return self.secrets.get(name, "set")

    def has_bucket(self, name):
        return name in self.buckets

    def has_table(self, name):
        return name in self.tables

    def sizes(self, bucket, prefix):
        return {key: size for key, size in self.objects.items() if key.startswith(prefix)}


def levels(findings) -> list[Level]:
    return [finding.level for finding in findings]


def the_one(findings) -> Finding:
    (finding,) = findings
    return finding


def about(words: str, findings) -> list[Finding]:
    return [finding for finding in findings if words in finding.what]


@pytest.fixture
def publish(monkeypatch):
    """Have models published in dev, as far as the file of checkpoints says."""

    def published_in_dev(*models: str) -> None:
        checkpoint = Checkpoint(sha256=SHA256, published_at=datetime(2026, 11, 21, tzinfo=UTC))
        found = {"dev": dict.fromkeys(models, checkpoint)}
        monkeypatch.setattr(Checkpoints, "read", classmethod(lambda cls: cls(found)))

    return published_in_dev


@pytest.fixture
def published(publish):
    """SCHP's checkpoint, as if it were published in dev."""
    publish("schp")


def test_finding_is_one_line():
    line = problem("the quota is 0", "ask for it", "the console").line()
    assert line == "problem  the quota is 0 → ask for it → the console"
    assert ok("all is well").line() == "ok       all is well"


@pytest.mark.parametrize(
    ("findings", "level"),
    [([], Level.OK), ([ok("a"), warning("b", "c")], Level.WARNING), ([problem("a", "b"), ok("c")], Level.PROBLEM)],
)
def test_worst_finding_counts(findings, level):
    assert worst(findings) is level


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Machine(None, docker=True, cdk=True), "there is no Node.js"),
        (Machine("18.20.1", docker=True, cdk=True), "Node.js is 18.20.1"),
        (Machine("20.0.0", docker=True, cdk=False), "the CDK's command is not installed"),
    ],
)
def test_missing_program_is_a_problem(machine, said):
    problems = [each for each in deployment.programs(DEV, machine, NOTHING_PUBLISHED) if each.level is Level.PROBLEM]
    assert the_one(problems).what == said


def test_docker_is_needed_only_where_an_image_is(published):
    without = Machine("22.0.0", docker=False, cdk=True)
    assert Level.PROBLEM not in levels(deployment.programs(PROD, without, NOTHING_PUBLISHED))
    found = [each.what for each in deployment.programs(PROD, without, LANE) if each.level is Level.PROBLEM]
    assert found == ["Docker does not answer, and the GPU lane need an image"]
    found = [each.what for each in deployment.programs(DEV, without, NOTHING_PUBLISHED) if each.level is Level.PROBLEM]
    assert found == ["Docker does not answer, and schp need an image"]
    assert Level.PROBLEM not in levels(deployment.programs(DEV, MACHINE, LANE))


@pytest.mark.parametrize(
    ("account", "region", "level"),
    [
        (None, None, Level.OK),
        ("1", "us-east-1", Level.OK),
        ("2", None, Level.PROBLEM),
        ("1", "eu-west-1", Level.PROBLEM),
    ],
)
def test_credentials_are_held_against_the_stage(account, region, level):
    stage = DEV.model_copy(update={"account": account, "region": region})
    assert the_one(deployment.credentials(stage, Memory())).level is level


@pytest.mark.parametrize(
    ("version", "level"), [(None, Level.WARNING), (5, Level.WARNING), (6, Level.OK), (30, Level.OK)]
)
def test_bootstrap_is_renewed_by_the_deployment(version, level):
    finding = the_one(deployment.bootstrap(DEV, Memory(version=version)))
    assert finding.level is level
    assert ("make deploy" in finding.do) is (level is Level.WARNING)


@pytest.mark.parametrize(
    ("status", "level", "do"),
    [
        ("CREATE_COMPLETE", Level.OK, ""),
        ("UPDATE_ROLLBACK_COMPLETE", Level.OK, ""),
        ("UPDATE_IN_PROGRESS", Level.WARNING, "wait until it is done"),
        ("ROLLBACK_COMPLETE", Level.PROBLEM, "aws cloudformation delete-stack --stack-name backlot-dev-api"),
        ("DELETE_FAILED", Level.PROBLEM, "aws cloudformation delete-stack --stack-name backlot-dev-api"),
        (
            "UPDATE_ROLLBACK_FAILED",
            Level.PROBLEM,
            "aws cloudformation continue-update-rollback --stack-name backlot-dev-api",
        ),
    ],
)
def test_stack_from_which_nothing_is_deployed_is_told_with_its_way_out(status, level, do):
    account = Memory(statuses={"backlot-dev-api": status, "backlot-dev2-api": "DELETE_FAILED"})
    finding = the_one(deployment.stacks(DEV, account))
    assert (finding.level, finding.do) == (level, do)


def test_data_of_an_earlier_deployment_is_in_the_way_of_a_first_one():
    account = Memory(buckets={"short-drama-assets-1-us-east-1"}, tables={"task_store", "task_store-dev"})
    finding = the_one(deployment.names(PROD, account))
    assert finding.level is Level.PROBLEM
    assert "short-drama-assets-1-us-east-1, task_store" in finding.what
    account.statuses = {"backlot-prod-storage": "CREATE_COMPLETE"}
    assert list(deployment.names(PROD, account)) == []


def test_settings_that_are_still_the_examples_are_told():
    assert levels(deployment.settings(PROD)) == [Level.WARNING, Level.WARNING]
    mine = {"cors_origins": ("https://studio.acme.com",), "alarms": Alarms(email="a@acme.com")}
    assert levels(deployment.settings(PROD.model_copy(update=mine))) == [Level.OK]


@pytest.mark.parametrize(
    ("state", "level", "do"),
    [
        ("set", Level.OK, ""),
        ("empty", Level.PROBLEM, "aws secretsmanager put-secret-value --region us-east-1 --secret-id backlot/dev/ark"),
        ("missing", Level.WARNING, "deploy, then aws secretsmanager put-secret-value"),
        ("deleted", Level.PROBLEM, "aws secretsmanager restore-secret --region us-east-1 --secret-id backlot/dev/ark"),
    ],
)
def test_providers_key_is_told_with_the_command_that_sets_it(state, level, do):
    findings = list(content.secrets(DEV, Memory(secrets={"backlot/dev/ark": state})))
    finding = findings[content.providers(DEV).index("ark")]
    assert finding.level is level
    assert finding.do.startswith(do)
    assert len(findings) == len(content.providers(DEV))


def test_key_of_fal_is_no_problem_of_a_stage_that_makes_portraits_itself():
    stage = DEV.model_copy(update={"portraits": "own"})
    finding = the_one(about("FAL_KEY", content.secrets(stage, Memory(secrets={"backlot/dev/fal": "empty"}))))
    assert (finding.level, "route fal fail" in finding.what) == (Level.WARNING, True)


def test_secret_of_the_mask_service_is_looked_for_where_masks_are_delivered():
    delivers = DEV.model_copy(update={"mask_assets_url": "https://masks.example"})
    assert set(content.providers(delivers)) - set(content.providers(DEV)) == {"mask-assets"}


def test_published_checkpoint_must_lie_in_the_bucket(published):
    bucket, key = "short-drama-assets-dev-1-us-east-1", f"models/schp/{SHA256}/model.pth"
    assert the_one(content.checkpoints(DEV, Memory())).level is Level.PROBLEM
    assert the_one(content.checkpoints(DEV, Memory(buckets={bucket}))).level is Level.PROBLEM
    account = Memory(buckets={bucket}, objects={key: 1})
    assert the_one(content.checkpoints(DEV, account)).level is Level.OK


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ({"models/comfyui/bb/vae.safetensors": 2}, "unet.safetensors is not there"),
        (
            {"models/comfyui/aa/unet.safetensors": 18, "models/comfyui/bb/vae.safetensors": 2},
            "unet.safetensors has 18 bytes, containers/comfyui/models.yaml says 19 bytes",
        ),
    ],
)
def test_model_of_the_gpu_lane_must_lie_in_the_bucket_with_its_size(objects, said):
    account = Memory(buckets={"short-drama-assets-dev-1-us-east-1"}, objects=objects)
    finding = the_one(content.gpu_models(DEV, LANE, account))
    assert finding.level is Level.PROBLEM
    assert said in finding.what
    assert finding.do == "make publish-gpu-model STAGE=dev FILE=unet.safetensors"


def test_models_of_the_gpu_lane_that_lie_there_are_well():
    account = Memory(buckets={"short-drama-assets-dev-1-us-east-1"}, objects=dict(LANE.sizes))
    assert the_one(content.gpu_models(DEV, LANE, account)) == ok("2 models of the GPU lane lie in the bucket")
    assert levels(content.gpu_models(DEV, LANE, Memory(objects=dict(LANE.sizes)))) == [Level.PROBLEM] * 2
    assert list(content.gpu_models(DEV, NOTHING_PUBLISHED, account)) == []


@pytest.mark.parametrize(
    ("vcpus", "level", "said"),
    [
        (0, Level.PROBLEM, "0 vCPUs, a worker needs 4 to 16"),
        (3, Level.PROBLEM, "3 vCPUs, a worker needs 4 to 16"),
        (4, Level.WARNING, "4 vCPUs are enough for 0 to 1 workers of 4"),
        (63, Level.WARNING, "63 vCPUs are enough for 3 to 15 workers of 4"),
        (64, Level.OK, "64 vCPUs are enough for 4 workers"),
    ],
)
def test_spot_quota_is_held_against_the_lane(vcpus, level, said):
    account = Memory(limits={quotas.SPOT_VCPUS: vcpus})
    finding = next(each for each in quotas.gpu_hosts(LANE, account) if quotas.SPOT_VCPUS in each.what)
    assert finding.level is level
    assert finding.what.endswith(said)
    if level is not Level.OK:
        assert finding.do == (
            "aws service-quotas request-service-quota-increase --region us-east-1 --service-code ec2 "
            "--quota-code L-3819A6DF --desired-value 64"
        )
        assert finding.where.endswith("/servicequotas/home/services/ec2/quotas/L-3819A6DF?region=us-east-1")


def test_on_demand_quota_is_asked_for_what_stands_behind_spot():
    account = Memory(limits={quotas.ON_DEMAND_VCPUS: 0})
    finding = next(each for each in quotas.gpu_hosts(LANE, account) if quotas.ON_DEMAND_VCPUS in each.what)
    assert "--quota-code L-DB2E81BA --desired-value 16" in finding.do
    spot_only = GpuLane(GPU.model_copy(update={"max_on_demand": 0}), LANE.sizes, ())
    assert not any(quotas.ON_DEMAND_VCPUS in each.what for each in quotas.gpu_hosts(spot_only, account))


def test_region_without_the_hosts_is_a_problem():
    finding = the_one(quotas.gpu_hosts(LANE, Memory(offered={})))
    assert finding.level is Level.PROBLEM
    assert "us-east-1 offers none of g6e.xlarge, g6.4xlarge" in finding.what


def test_type_and_zone_that_the_region_does_not_offer_are_told():
    found = list(quotas.gpu_hosts(LANE, Memory(offered={"g6e.xlarge": {"us-east-1a"}})))
    assert [each.what for each in found if each.level is Level.WARNING] == [
        "us-east-1 does not offer g6.4xlarge",
        "hosts are offered in 1 zones, 2 are wanted",
    ]


def test_lane_without_its_models_is_told():
    finding = next(iter(quotas.gpu_hosts(NOTHING_PUBLISHED, Memory())))
    assert (finding.level, finding.do) == (Level.WARNING, "make publish-gpu-model")


def test_first_spot_instance_of_an_account_needs_a_role():
    finding = list(quotas.gpu_hosts(LANE, Memory(roles=set())))[-1]
    assert finding.level is Level.WARNING
    assert "--aws-service-name spot.amazonaws.com" in finding.do


def test_lane_needs_room_for_its_network_once():
    full = Memory(vpc_count=5, limits={quotas.VPCS: 5})
    finding = the_one(quotas.network(DEV, LANE, full))
    assert finding.level is Level.PROBLEM
    assert "--quota-code L-F678F1CE --desired-value 6" in finding.do
    assert the_one(quotas.network(DEV, LANE, Memory(vpc_count=4, limits={quotas.VPCS: 5}))).level is Level.OK
    full.statuses = {"backlot-dev-gpu": "CREATE_COMPLETE"}
    assert list(quotas.network(DEV, LANE, full)) == []
    assert list(quotas.network(DEV, NOTHING_PUBLISHED, Memory(vpc_count=5, limits={quotas.VPCS: 5}))) == []


@pytest.mark.parametrize(("allowed", "level"), [(10, Level.WARNING), (89, Level.WARNING), (90, Level.OK)])
def test_functions_of_the_stage_must_fit_into_the_account(allowed, level):
    stage = DEV.model_copy(update={"worker": Worker(concurrency=50)})
    finding = the_one(quotas.functions(stage, Memory(concurrency=allowed)))
    assert finding.level is level
    assert ("--quota-code L-B99A9384" in finding.do) is (level is Level.WARNING)


@pytest.mark.parametrize(
    ("limits", "level", "said"),
    [
        ((1, 0, 0), Level.OK, "ml.c7i.xlarge 1"),
        ((0, 0, 0), Level.PROBLEM, "is 0 for each of its instance types"),
        ((), Level.WARNING, "SageMaker tells no quota"),
    ],
)
def test_endpoint_is_held_against_sagemakers_quotas(published, limits, level, said):
    types = DEV.models["schp"].instance_types
    account = Memory(
        endpoint_limits={f"{name} for endpoint usage": value for name, value in zip(types, limits, strict=False)}
    )
    finding = the_one(about("schp", quotas.model_endpoints(DEV, account)))
    assert finding.level is level
    assert said in finding.what


def test_endpoint_that_cannot_scale_out_is_told(published):
    stage = DEV.model_copy(update={"models": {"schp": DEV.models["schp"].model_copy(update={"max_instances": 4})}})
    finding = the_one(quotas.model_endpoints(stage, Memory(endpoint_limits={"ml.c7i.xlarge for endpoint usage": 2})))
    assert finding.level is Level.WARNING
    assert finding.do.endswith("--service-code sagemaker --quota-code L-1 --desired-value 4")


def test_model_without_a_checkpoint_is_told():
    finding = the_one(about("schp has", quotas.model_endpoints(DEV, Memory())))
    assert (finding.level, finding.do) == (Level.WARNING, "make publish-model MODEL=schp STAGE=dev WEIGHTS=…")
    assert finding.what.endswith("no endpoint; refused as NOT_DEPLOYED: body-masks")


def test_licences_of_published_models_that_forbid_commercial_use_are_told(monkeypatch):
    licences = [
        {"part": "A", "licence": "MIT", "commercial": True, "instead": ""},
        {"part": "B", "licence": "research only", "commercial": False, "instead": "C"},
    ]
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    checkpoint = Checkpoint(sha256=SHA256, published_at=moment, found={"licences": licences})
    monkeypatch.setattr(Checkpoints, "read", classmethod(lambda cls: cls({"dev": {"flux": checkpoint}})))
    finding = the_one(content.licences(DEV))
    assert finding.level is Level.WARNING
    assert finding.what == "flux: B is not for commercial use (research only); instead: C"
    assert finding in list(diagnose(DEV, MACHINE, lambda _: Memory()))


def test_model_that_one_route_depends_on_closes_that_route():
    finding = the_one(about("flux", quotas.model_endpoints(DEV, Memory())))
    assert finding.what.endswith("no endpoint; refused as NOT_DEPLOYED: identity-portrait with route own")


@pytest.mark.parametrize(
    ("published", "found", "level", "said"),
    [
        (False, {}, Level.PROBLEM, "no checkpoint: they are refused"),
        (True, {"variant": "dev", "identity": False}, Level.PROBLEM, "without PuLID: they fail"),
        (True, {"variant": "dev", "identity": True}, Level.OK, "portraits are made by flux"),
    ],
)
def test_stage_that_makes_portraits_itself_needs_flux_with_pulid(monkeypatch, published, found, level, said):
    checkpoint = Checkpoint(sha256=SHA256, published_at=datetime(2026, 11, 21, tzinfo=UTC), found=found)
    checkpoints = {"dev": {"flux": checkpoint} if published else {}}
    monkeypatch.setattr(Checkpoints, "read", classmethod(lambda cls: cls(checkpoints)))
    finding = the_one(content.portraits(DEV.model_copy(update={"portraits": "own"})))
    assert finding.level is level
    assert said in finding.what
    assert list(content.portraits(DEV)) == []


def test_every_published_endpoint_is_held_against_the_quotas_of_its_own_instances(publish):
    publish(*DEV.models)
    account = Memory(endpoint_limits={"ml.g6e.4xlarge for endpoint usage": 0, "ml.g6e.2xlarge for endpoint usage": 1})
    found = {name: the_one(about(f"for {name}", quotas.model_endpoints(DEV, account))) for name in DEV.models}
    assert {name: each.level for name, each in found.items()} == {
        "schp": Level.WARNING,
        "segment": Level.WARNING,
        "qwen-edit": Level.PROBLEM,
        "flux": Level.OK,
    }


def test_lane_is_that_of_the_stage_and_the_manifest():
    manifest = Manifest.model_validate(
        [
            {"name": "unet.safetensors", "folder": "diffusion_models", "about": "a model"},
            {"name": "vae.safetensors", "folder": "vae", "about": "its VAE"},
        ]
    )
    manifest = manifest.with_file("dev", "unet.safetensors", PublishedFile(size_bytes=19, sha256=SHA256))
    sizes = {f"models/comfyui/{SHA256}/unet.safetensors": 19}
    assert GpuLane.of(DEV, manifest) == GpuLane(DEV.gpu, sizes, ("vae.safetensors",))


def test_question_that_is_not_answered_does_not_hide_the_others():
    findings = list(diagnose(DEV, MACHINE, lambda _: Memory(silent="lambda")))
    unanswered = [each for each in findings if each.what.startswith("could not be looked at")]
    assert [each.level for each in unanswered] == [Level.WARNING]
    assert "AccessDenied" in unanswered[0].what
    assert any(each.what == "ARK_API_KEY is set" for each in findings)


def test_account_that_cannot_be_reached_is_one_problem():
    def find(_):
        raise Unreachable("Unable to locate credentials")

    problems = [each for each in diagnose(DEV, MACHINE, find) if each.level is Level.PROBLEM]
    assert "nothing there was looked at: Unable to locate credentials" in the_one(problems).what


@pytest.mark.parametrize(("secrets", "code"), [({}, 0), ({"backlot/dev/ark": "empty"}, 1)])
def test_command_fails_if_there_is_a_problem(monkeypatch, capsys, secrets, code):
    monkeypatch.setattr(AwsAccount, "of", lambda _: Memory(secrets=secrets))
    monkeypatch.setattr(command, "this_machine", lambda: MACHINE)
    assert command.main(["--stage", "dev"]) == code
    said = capsys.readouterr().out
    assert ("problem  ARK_API_KEY is not set → aws secretsmanager put-secret-value" in said) is bool(code)


def test_command_refuses_an_unknown_stage(capsys):
    assert command.main(["--stage", "nowhere"]) == 1
    assert "there is no stage 'nowhere' on AWS; choose STAGE=dev|prod" in capsys.readouterr().err


class Session:
    """A session with clients whose answers are written by a test."""

    def __init__(self, **clients):
        identity = {"get_caller_identity": {"Account": "1", "UserId": "u", "Arn": "arn:aws:iam::1:user/u"}}
        self.clients = {"sts": answering("sts", identity)} | clients

    def client(self, service, config):
        return self.clients[service.replace("-", "_")]


def aws(**clients) -> AwsAccount:
    return AwsAccount(Session(**clients))


def quota(name: str, value: float, code: str = "L-1") -> dict:
    return {"QuotaCode": code, "QuotaName": name, "Value": value}


def test_account_and_region_are_those_of_the_credentials():
    assert (aws().number, aws().region) == ("1", "us-east-1")


def test_quota_is_the_accounts_or_else_that_of_every_account():
    of_account = answering("service-quotas", {"get_service_quota": {"Quota": quota("spot", 8)}})
    assert aws(service_quotas=of_account).quota("ec2", "L-1") == Quota("ec2", "L-1", "spot", 8)
    default = {"get_aws_default_service_quota": {"Quota": quota("spot", 0)}}
    of_all = answering("service-quotas", ("get_service_quota:NoSuchResourceException", 400), default)
    assert aws(service_quotas=of_all).quota("ec2", "L-1").value == 0


def test_quotas_are_found_by_name_and_the_accounts_count():
    client = answering(
        "service-quotas",
        {"list_aws_default_service_quotas": {"Quotas": [quota("a", 0), quota("b", 0), quota("c", 0)]}},
        {"list_service_quotas": {"Quotas": [quota("a", 2)]}},
    )
    found = aws(service_quotas=client).quotas("sagemaker", {"a", "b", "d"})
    assert {name: each.value for name, each in found.items()} == {"a": 2, "b": 0}


def test_vcpus_and_zones_are_those_of_the_region():
    described = {"InstanceTypes": [{"InstanceType": "g6e.xlarge", "VCpuInfo": {"DefaultVCpus": 4}}]}
    offered = {"InstanceTypeOfferings": [{"InstanceType": "g6e.xlarge", "Location": "us-east-1b"}]}
    client = answering("ec2", {"describe_instance_types": described}, {"describe_instance_type_offerings": offered})
    calls = heard(client)
    account = aws(ec2=client)
    assert account.vcpus(["g6e.xlarge", "g9.xlarge"]) == {"g6e.xlarge": 4}
    assert account.zones(["g6e.xlarge", "g9.xlarge"]) == {"g6e.xlarge": {"us-east-1b"}, "g9.xlarge": set()}
    # By a filter: naming a type that the region does not know is an error.
    assert calls[0] == {"Filters": [{"Name": "instance-type", "Values": ["g6e.xlarge", "g9.xlarge"]}]}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"describe_secret": {"VersionIdsToStages": {VERSION: ["AWSCURRENT"]}}}, "set"),
        ({"describe_secret": {"VersionIdsToStages": {VERSION: ["AWSPREVIOUS"]}}}, "empty"),
        ({"describe_secret": {}}, "empty"),
        ({"describe_secret": {"DeletedDate": datetime(2026, 11, 21, tzinfo=UTC)}}, "deleted"),
        (("describe_secret:ResourceNotFoundException", 400), "missing"),
    ],
)
def test_secret_is_looked_at_and_not_read(answer, state):
    assert aws(secretsmanager=answering("secretsmanager", answer)).secret("backlot/dev/ark") == state


@pytest.mark.parametrize(
    ("service", "answer", "ask", "found"),
    [
        ("ssm", {"get_parameter": {"Parameter": {"Value": "30"}}}, lambda a: a.bootstrap_version(), 30),
        ("ssm", ("get_parameter:ParameterNotFound", 400), lambda a: a.bootstrap_version(), None),
        ("s3", {"head_bucket": {}}, lambda a: a.has_bucket("b"), True),
        ("s3", ("head_bucket:404", 404), lambda a: a.has_bucket("b"), False),
        ("dynamodb", ("describe_table:ResourceNotFoundException", 400), lambda a: a.has_table("t"), False),
        ("iam", ("get_role:NoSuchEntity", 404), lambda a: a.has_role("r"), False),
        ("lambda", {"get_account_settings": {"AccountLimit": {"ConcurrentExecutions": 10}}},
         lambda a: a.lambda_concurrency(), 10),
        ("ec2", {"describe_vpcs": {"Vpcs": [{"VpcId": "vpc-1"}]}}, lambda a: a.vpcs(), 1),
        ("s3", {"list_objects_v2": {"Contents": [{"Key": "models/a", "Size": 3}]}},
         lambda a: a.sizes("b", "models/"), {"models/a": 3}),
    ],
)  # fmt: skip
def test_account_answers(service, answer, ask, found):
    assert ask(aws(**{service: answering(service, answer)})) == found


def test_stacks_are_found_by_their_prefix():
    stacks = [
        {"StackName": name, "CreationTime": datetime(2026, 11, 21, tzinfo=UTC), "StackStatus": "CREATE_COMPLETE"}
        for name in ("backlot-dev-api", "backlot-dev2-api")
    ]
    client = answering("cloudformation", {"describe_stacks": {"Stacks": stacks}})
    assert aws(cloudformation=client).stacks("backlot-dev-") == {"backlot-dev-api": "CREATE_COMPLETE"}


def test_question_that_the_credentials_may_not_ask_is_told():
    client = answering("s3", ("head_bucket:403", 403))
    with pytest.raises(Unanswered, match=r"the bucket b: .*403"):
        aws(s3=client).has_bucket("b")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId"])
def test_credentials_that_are_none_any_more_let_nobody_in(code):
    with pytest.raises(Unreachable, match=code):
        AwsAccount(Session(sts=answering("sts", (f"get_caller_identity:{code}", 403))))


def test_aws_that_cannot_be_reached_is_told():
    with pytest.raises(Unreachable, match="Could not connect"):
        AwsAccount(Session(sts=unreachable("sts")))
