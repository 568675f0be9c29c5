"""The GPU lane's stack: hosts, services and scaling by the configuration's numbers, and nothing on the emulator."""

import json
import os
import re
import shlex
import subprocess
from itertools import pairwise

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Match, Template

from backlot.gpu_load import Plan
from backlot.operations import Lane, catalogue
from cdk.config import DEV, PROD, Stage
from cdk.constructs.gpu_worker import COMFYUI_COMMAND, COMFYUI_FOLDER, PORT
from cdk.gpu_config import Gpu, WarmWindow
from cdk.gpu_instances import INSTANCES
from cdk.gpu_models import MANIFEST, Manifest, PublishedFile
from cdk.stacks.gpu import GpuStack
from cdk.stacks.models import ModelsStack
from cdk.stacks.storage import StorageStack
from cdk.stacks.work import WorkStack
from containers.comfyui.models.settings import Settings as ModelsSettings
from containers.comfyui.worker.settings import Settings as WorkerSettings
from containers.comfyui.workflows import workflows
from lambdas.measure_gpu_lane.settings import Settings as MeasureSettings
from tests.contract.conftest import PUBLISHED_GPU

SHA256 = "5c" * 32

#: A lane whose numbers are all different, and none is a default.
ODD = Gpu(
    instance_types=("g5.2xlarge", "g6.2xlarge"),
    zones=3,
    max_spot=45,
    max_on_demand=12,
    min_workers=2,
    warm_windows=(WarmWindow(days="MON-FRI", from_hour=8, to_hour=19, time_zone="Asia/Shanghai", workers=5),),
    utilisation=0.63,
    drain_s=241,
    arrivals_min=23,
    default_prompt_s=31,
    wake_after_min=2,
    wake_step_s=97,
    scale_out_cooldown_s=71,
    scale_in_cooldown_s=307,
    spot_shortfall_min=13,
    prompt_limit_s=1801,
    stall_limit_s=601,
    lease_s=121,
    visibility_s=301,
    max_receives=4,
    stop_timeout_s=110,
    node_classes=("LoadImage", "SaveImage"),
    cache_gb=103,
    root_gb=83,
    alarm_no_worker_min=37,
    alarm_crashes=7,
    alarm_shortfall_min=67,
)

STAGE = Stage(name="test", cors_origins=("https://studio.example.com",), gpu=ODD)


def manifest_of(*stages: str) -> Manifest:
    manifest = Manifest.read()
    for stage in stages:
        for model in manifest.root:
            manifest = manifest.with_file(stage, model.name, PublishedFile(size_bytes=10**9, sha256=SHA256))
    return manifest


def gpu_of(stage: Stage, manifest: Manifest) -> GpuStack:
    app = App()
    storage = StorageStack(app, "storage", stage=stage)
    models = ModelsStack(app, "models", stage=stage, storage=storage, checkpoints={})
    work = WorkStack(app, "work", stage=stage, storage=storage, models=models)
    return GpuStack(app, "gpu", stage=stage, storage=storage, work=work, manifest=manifest)


@pytest.fixture(scope="module")
def odd() -> Template:
    return Template.from_stack(gpu_of(STAGE, manifest_of("test")))


def services(template: Template) -> dict[str, dict]:
    found = template.find_resources("AWS::ECS::Service").values()
    return {each["Properties"]["ServiceName"]: each for each in found}


def containers(template: Template) -> dict[str, dict]:
    (task,) = template.find_resources("AWS::ECS::TaskDefinition").values()
    return {each["Name"]: each for each in task["Properties"]["ContainerDefinitions"]}


def environment(container: dict) -> dict[str, str]:
    """Return a container's variables; those that are only known when it is deployed as a URL."""
    variables = {each["Name"]: each["Value"] for each in container["Environment"]}
    return {name: value if isinstance(value, str) else "https://resolved" for name, value in variables.items()}


def groups(template: Template) -> dict[str, dict]:
    found = template.find_resources("AWS::AutoScaling::AutoScalingGroup")
    return {"spot" if "Spot" in name else "on-demand": each["Properties"] for name, each in found.items()}


def policies(template: Template, part: str) -> dict[str, dict]:
    found = template.find_resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    return {name: each["Properties"] for name, each in found.items() if part in name}


def test_lane_without_its_models_has_no_hosts_and_an_output_says_which_are_missing():
    stack = gpu_of(DEV, Manifest.read())
    template = Template.from_stack(stack)
    assert {each["Type"] for each in template.to_json()["Resources"].values()} == {"AWS::IAM::Role", "AWS::IAM::Policy"}
    names = ", ".join(model.name for model in Manifest.read().root)
    template.has_output("GpuModelsNotPublished", {"Value": names})
    assert (stack.lane, stack.functions, stack.widgets()) == (None, [], [])
    assert stack.alarms(Stack(App(), "Alarms")) == []


def test_lane_of_one_stage_does_not_come_with_the_models_of_another():
    assert gpu_of(PROD, manifest_of("dev")).lane is None


def test_published_lane_has_no_missing_models(odd):
    assert set(odd.to_json()["Outputs"]) == {"GpuWorkerRoleArn"}


def test_emulator_gets_the_worker_role_and_no_hosts(assembly):
    kinds = {each["Type"] for each in assembly.templates["gpu"]["Resources"].values()}
    assert ("AWS::ECS::Service" in kinds) is not assembly.stage.emulated
    assert assembly.stage.emulated is (kinds == {"AWS::IAM::Role", "AWS::IAM::Policy"})
    assert "GpuWorkerRoleArn" in assembly.templates["gpu"]["Outputs"]


def test_account_takes_the_workers_role_on_in_local_mode_only(assembly):
    (role,) = (
        each["Properties"] for name, each in assembly.resources("AWS::IAM::Role").items() if "gpu/WorkerRole" in name
    )
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["Service"] == "ecs-tasks.amazonaws.com"
    assert ("AWS" in statement["Principal"]) is assembly.stage.emulated


def test_worker_may_do_what_it_does_and_nothing_else(assembly):
    granted = assembly.actions_of("gpu/WorkerRole")
    protection = set() if assembly.stage.emulated else {"ecs:GetTaskProtection", "ecs:UpdateTaskProtection"}
    assert set(granted) - protection == {
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:PutObject",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
    }
    assert "GpuTasks" in granted["sqs:ReceiveMessage"]
    folders = {action: set(re.findall(r'(?:"|assets)/([^"]*)\*"', granted[action])) for action in granted}
    assert folders["s3:GetObject"] == {"images/", "models/comfyui/", "portraits/", "seedream/", "uploads/"}
    assert folders["s3:PutObject"] == folders["s3:AbortMultipartUpload"] == {"images/comfyui-results/"}
    machines = set(re.findall(rf"backlot-{assembly.stage.name}-([a-z-]+)", granted["states:SendTaskSuccess"]))
    assert machines == {name for name, each in catalogue().items() if each.lane is Lane.GPU}


def test_hosts_agent_may_join_its_cluster_and_nothing_else(odd):
    for name, policy in odd.find_resources("AWS::IAM::Policy").items():
        if "HostsRole" in name:
            statements = policy["Properties"]["PolicyDocument"]["Statement"]
            actions = {action for each in statements for action in each["Action"] if len(action) > 1}
            assert {action.split(":")[0] for action in actions} == {"ecs"}
            cluster, hosts, _ = (json.dumps(each["Resource"]) for each in statements)
            assert "LaneCluster" in cluster
            assert "container-instance/" in hosts
            assert "LaneCluster" in hosts


def test_images_are_pulled_and_logs_written_by_the_execution_role_alone(odd):
    found = odd.find_resources("AWS::IAM::Policy")
    pulling = [name for name, each in found.items() if "ecr:BatchGetImage" in json.dumps(each)]
    writing = [name for name, each in found.items() if "logs:PutLogEvents" in json.dumps(each)]
    assert ["ExecutionRole" in name for name in pulling] == [True]
    assert sorted("ExecutionRole" in name or "MeasureGpuLane" in name for name in writing) == [True, True]


def test_meter_may_look_and_nothing_else(assembly):
    granted = assembly.actions_of("LaneMeasureGpuLaneRole")
    own = {action for action in granted if not action.startswith(("logs:", "xray:"))}
    wanted = {
        "autoscaling:DescribeAutoScalingGroups",
        "cloudwatch:GetMetricStatistics",
        "ecs:DescribeServices",
        "sqs:GetQueueAttributes",
    }
    assert own == (set() if assembly.stage.emulated else wanted)


def test_meter_is_told_by_which_numbers_workers_are_wanted_and_where_spot_instances_come_from(odd):
    (function,) = (
        each["Properties"]
        for name, each in odd.find_resources("AWS::Lambda::Function").items()
        if "MeasureGpuLane" in name
    )
    variables = function["Environment"]["Variables"]
    (group,) = (name for name in odd.find_resources("AWS::AutoScaling::AutoScalingGroup") if "Spot" in name)
    assert variables["SPOT_GROUP"] == {"Ref": group}
    told = {name: value for name, value in variables.items() if isinstance(value, str)}
    read = MeasureSettings.model_validate({**told, "SPOT_GROUP": group, "QUEUE_URL": "https://sqs", "CLUSTER": "c"})
    assert read.plan == Plan(utilisation=0.63, drain_s=241, arrivals_min=23)
    assert (read.default_prompt_s, read.spot_shortfall_min) == (31, 13)


def test_spot_comes_first_from_all_types_and_on_demand_in_their_order(odd):
    found = groups(odd)
    for kind, group in found.items():
        policy = group["MixedInstancesPolicy"]
        types = [each["InstanceType"] for each in policy["LaunchTemplate"]["Overrides"]]
        assert types == list(ODD.instance_types)
        assert policy["InstancesDistribution"] == {
            "OnDemandAllocationStrategy": "prioritized",
            "OnDemandBaseCapacity": 0,
            "OnDemandPercentageAboveBaseCapacity": 0 if kind == "spot" else 100,
            "SpotAllocationStrategy": "price-capacity-optimized",
        }
    assert {kind: (group["MinSize"], group["MaxSize"]) for kind, group in found.items()} == {
        "spot": ("0", "45"),
        "on-demand": ("0", "12"),
    }


def test_hosts_with_work_are_never_taken(odd):
    assert all(group["NewInstancesProtectedFromScaleIn"] is True for group in groups(odd).values())
    providers = odd.find_resources("AWS::ECS::CapacityProvider").values()
    assert len(providers) == 2
    for each in providers:
        provider = each["Properties"]["AutoScalingGroupProvider"]
        assert provider["ManagedTerminationProtection"] == provider["ManagedDraining"] == "ENABLED"
        assert provider["ManagedScaling"] == {"Status": "ENABLED", "TargetCapacity": 100}


def test_hosts_run_the_gpu_image_of_ecs_for_amazon_linux_2023(odd):
    images = [
        each["Default"]
        for each in odd.to_json()["Parameters"].values()
        if each["Type"].endswith("<AWS::EC2::Image::Id>")
    ]
    assert images == ["/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"]


def test_hosts_have_an_encrypted_disk_and_metadata_of_version_two_for_their_containers(odd):
    for each in odd.find_resources("AWS::EC2::LaunchTemplate").values():
        data = each["Properties"]["LaunchTemplateData"]
        assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        (disk,) = data["BlockDeviceMappings"]
        assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["VolumeSize"], disk["DeviceName"]) == (True, 83, "/dev/xvda")


def test_host_mounts_its_disk_before_it_learns_of_the_cluster(odd):
    for each in odd.find_resources("AWS::EC2::LaunchTemplate").values():
        script = json.dumps(each["Properties"]["LaunchTemplateData"]["UserData"])
        order = ["set -eu", "mkfs.xfs", "mount ", "SPOT_INSTANCE_DRAINING=true", "ECS_CLUSTER="]
        places = [script.index(word) for word in order]
        assert places == sorted(places)
        (task,) = odd.find_resources("AWS::ECS::TaskDefinition").values()
        (volume,) = task["Properties"]["Volumes"]
        assert f" {volume['Host']['SourcePath']}\\n" in script


def test_nothing_reaches_a_host_and_no_gateway_costs_while_nobody_works(odd):
    odd.resource_count_is("AWS::EC2::NatGateway", 0)
    odd.resource_count_is("AWS::EC2::SecurityGroupIngress", 0)
    (group,) = odd.find_resources("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group["Properties"]
    endpoints = odd.find_resources("AWS::EC2::VPCEndpoint").values()
    assert {each["Properties"]["VpcEndpointType"] for each in endpoints} == {"Gateway"}
    assert len(endpoints) == 2


def test_hosts_live_in_as_many_zones_as_configured_without_looking_them_up(odd, assembly):
    subnets = odd.find_resources("AWS::EC2::Subnet").values()
    zones = [each["Properties"]["AvailabilityZone"]["Fn::Select"][0] for each in subnets]
    assert zones == [0, 1, 2]
    assert "missing" not in json.loads((assembly.folder / "manifest.json").read_text())


def test_deployment_waits_for_no_gpu_and_no_circuit_breaker_fires(odd):
    found = services(odd)
    assert {name: each["Properties"]["DesiredCount"] for name, each in found.items()} == {
        "comfyui-spot": ODD.min_workers,
        "comfyui-on-demand": 0,
    }
    for each in found.values():
        deployment = each["Properties"]["DeploymentConfiguration"]
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (0, 100)
        assert "DeploymentCircuitBreaker" not in deployment
        assert each["Properties"]["AvailabilityZoneRebalancing"] == "DISABLED"


def test_stages_start_without_a_gpu(assembly):
    for each in assembly.resources("AWS::ECS::Service").values():
        assert each["Properties"]["DesiredCount"] == 0


def test_services_wait_until_the_cluster_knows_their_hosts(odd):
    (association,) = odd.find_resources("AWS::ECS::ClusterCapacityProviderAssociations")
    used = []
    for each in services(odd).values():
        assert association in each["DependsOn"]
        ((strategy),) = each["Properties"]["CapacityProviderStrategy"]
        used.append(strategy["CapacityProvider"])
    known = odd.to_json()["Resources"][association]["Properties"]["CapacityProviders"]
    assert sorted(map(json.dumps, used)) == sorted(map(json.dumps, known))


def test_worker_has_a_gpu_two_minutes_and_a_network_of_its_own(odd):
    (task,) = odd.find_resources("AWS::ECS::TaskDefinition").values()
    assert task["Properties"]["NetworkMode"] == "bridge"
    worker = containers(odd)["worker"]
    assert worker["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}]
    assert worker["StopTimeout"] == ODD.stop_timeout_s
    assert "PortMappings" not in worker
    assert PROD.gpu.stop_timeout_s == 120


def test_models_are_there_before_the_worker_starts_and_it_cannot_change_them(odd):
    found = containers(odd)
    assert found["worker"]["DependsOn"] == [{"ContainerName": "models", "Condition": "SUCCESS"}]
    assert (found["worker"]["Essential"], found["models"]["Essential"]) == (True, False)
    mounts = {name: each["MountPoints"] for name, each in found.items()}
    folder = f"{COMFYUI_FOLDER}/models"
    assert mounts["worker"] == [{"ContainerPath": folder, "ReadOnly": True, "SourceVolume": "models"}]
    assert mounts["models"] == [{"ContainerPath": folder, "ReadOnly": False, "SourceVolume": "models"}]


def test_worker_is_replaced_when_it_is_not_ready_for_long(odd):
    check = containers(odd)["worker"]["HealthCheck"]
    assert f"127.0.0.1:{PORT}/ready" in check["Command"][-1]
    assert (check["StartPeriod"], check["Interval"] * check["Retries"]) == (300, 300)


def test_containers_are_told_exactly_what_their_settings_ask(odd):
    found = containers(odd)
    outside = {"AWS_DEFAULT_REGION", "POWERTOOLS_SERVICE_NAME"}
    worker, models = environment(found["worker"]), environment(found["models"])
    # ECS itself tells a container where its agent is.
    assert set(worker) - outside == WorkerSettings.variables() - {"ECS_AGENT_URI"}
    assert set(models) - outside == ModelsSettings.variables()
    read = WorkerSettings.model_validate(worker)
    assert (read.lease_s, read.prompt_limit_s, read.stall_limit_s) == (121, 1801, 601)
    assert read.node_classes == frozenset(ODD.node_classes)
    assert read.drain_limit_s + 10 <= ODD.stop_timeout_s
    assert (read.port, read.comfyui_folder, read.comfyui_command) == (PORT, COMFYUI_FOLDER, COMFYUI_COMMAND)
    brought = ModelsSettings.model_validate(models)
    assert brought.cache_gb == ODD.cache_gb
    assert [model.key for model in brought.models] == [
        f"models/comfyui/{SHA256}/{model.name}" for model in Manifest.read().root
    ]


def test_comfyui_listens_on_loopback_shows_previews_and_tells_nothing():
    words = COMFYUI_COMMAND.split()
    given = dict(pairwise(words))
    assert (given["--listen"], given["--preview-method"]) == ("127.0.0.1", "auto")
    assert {"--disable-metadata", "--disable-api-nodes"} <= set(words)


def test_comfyui_is_told_the_way_to_no_credentials():
    told_by_ecs = dict.fromkeys(
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "ECS_AGENT_URI",
            "ECS_CONTAINER_METADATA_URI",
            "ECS_CONTAINER_METADATA_URI_V4",
        ),
        "somewhere",
    )
    prefix = shlex.split(COMFYUI_COMMAND[: COMFYUI_COMMAND.index(" python ")])
    kept = {"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1"}
    seen = subprocess.run([*prefix, "env"], env=told_by_ecs | kept, capture_output=True, text=True, check=True).stdout
    assert dict(line.split("=", 1) for line in seen.splitlines()) == kept | {"AWS_EC2_METADATA_DISABLED": "true"}


def test_spot_workers_follow_the_load(odd):
    (track,) = (each for each in policies(odd, "Spot").values() if each["PolicyType"] == "TargetTrackingScaling")
    settings = track["TargetTrackingScalingPolicyConfiguration"]
    assert settings["CustomizedMetricSpecification"] == {
        "Namespace": "Backlot",
        "MetricName": "GpuLoad",
        "Statistic": "Average",
        "Dimensions": [{"Name": "service", "Value": "backlot-test"}],
    }
    assert (settings["TargetValue"], settings["ScaleOutCooldown"], settings["ScaleInCooldown"]) == (100, 71, 307)
    targets = odd.find_resources("AWS::ApplicationAutoScaling::ScalableTarget")
    limits = {
        name: (each["Properties"]["MinCapacity"], each["Properties"]["MaxCapacity"]) for name, each in targets.items()
    }
    assert sorted(limits.values()) == [(0, 12), (2, 45)]


def steps_of(policy: dict) -> list[tuple[int, float | None, float | None]]:
    return [
        (each["ScalingAdjustment"], each.get("MetricIntervalLowerBound"), each.get("MetricIntervalUpperBound"))
        for each in policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
    ]


def test_first_workers_are_as_many_as_the_waiting_work_needs(odd):
    ((wake, policy),) = ((name, each) for name, each in policies(odd, "Wake").items())
    assert policy["StepScalingPolicyConfiguration"]["AdjustmentType"] == "ChangeInCapacity"
    steps = steps_of(policy)
    assert [count for count, _, _ in steps] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 40, 45]
    assert (steps[0][1], steps[-1][2]) == (0, None)
    assert [end for _, _, end in steps[:-1]] == [begin for _, begin, _ in steps[1:]]
    assert all(begin == (count - 1) * ODD.wake_step_s for count, begin, _ in steps)
    assert policy["StepScalingPolicyConfiguration"]["Cooldown"] == ODD.scale_out_cooldown_s
    odd.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmActions": [{"Ref": wake}],
            "MetricName": "GpuBacklogWithoutWorkers",
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": ODD.wake_after_min,
            "Period": 60,
        },
    )


def test_on_demand_workers_are_as_many_as_spot_instances_are_not_to_be_had(odd):
    ((name, policy),) = policies(odd, "StandIn").items()
    assert policy["StepScalingPolicyConfiguration"]["AdjustmentType"] == "ExactCapacity"
    counts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    bounds = [float(count - 1) for count in counts]
    assert steps_of(policy) == list(zip(counts, bounds, [*bounds[1:], None], strict=True))
    ((leave, other),) = policies(odd, "Leave").items()
    assert steps_of(other) == [(0, None, 0)]
    # The shortfall is what was missing all the time: nothing more has to cool.
    assert [each["StepScalingPolicyConfiguration"]["Cooldown"] for each in (policy, other)] == [0, 0]
    for action, comparison, minutes in (
        (name, "GreaterThanOrEqualToThreshold", 1),
        (leave, "LessThanThreshold", 5),
    ):
        odd.has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "AlarmActions": [{"Ref": action}],
                "MetricName": "GpuSpotShortfall",
                "Threshold": 1,
                "ComparisonOperator": comparison,
                "EvaluationPeriods": minutes,
            },
        )


def test_no_policy_has_more_steps_than_application_auto_scaling_takes():
    stage = STAGE.model_copy(update={"gpu": ODD.model_copy(update={"max_spot": 1000, "max_on_demand": 1000})})
    template = Template.from_stack(gpu_of(stage, manifest_of("test")))
    steps = [len(steps_of(each)) for part in ("Wake", "StandIn") for each in policies(template, part).values()]
    assert steps == [17, 17]


def test_lane_without_on_demand_workers_has_one_service_and_its_meter_knows():
    stage = STAGE.model_copy(update={"gpu": ODD.model_copy(update={"max_on_demand": 0})})
    template = Template.from_stack(gpu_of(stage, manifest_of("test")))
    assert set(services(template)) == {"comfyui-spot"}
    template.has_resource_properties(
        "AWS::Lambda::Function", {"Environment": {"Variables": Match.object_like({"ON_DEMAND_SERVICE": ""})}}
    )


def test_warm_window_is_opened_again_and_again_and_closed_once(odd):
    targets = odd.find_resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
    (actions,) = (
        each["Properties"]["ScheduledActions"] for each in targets if "ScheduledActions" in each["Properties"]
    )
    assert [(each["Schedule"], each["Timezone"], each["ScalableTargetAction"]) for each in actions] == [
        ("cron(0/10 8-18 ? * MON-FRI *)", "Asia/Shanghai", {"MinCapacity": 5}),
        ("cron(0 19 ? * MON-FRI *)", "Asia/Shanghai", {"MinCapacity": 2}),
    ]


def test_alarms_ring_at_the_configured_numbers():
    stack = gpu_of(STAGE, manifest_of("test"))
    scope = Stack(stack.node.root, "Alarms")
    assert len(stack.alarms(scope)) == 3
    alarms = {
        name: each["Properties"]
        for name, each in Template.from_stack(scope).find_resources("AWS::CloudWatch::Alarm").items()
    }
    found = {
        re.sub(r"[0-9A-F]{8}$", "", name): (each["EvaluationPeriods"], each["Threshold"])
        for name, each in alarms.items()
    }
    assert found == {"GpuNoWorker": (37, 1), "GpuCrashes": (1, 7), "GpuSpotShortfall": (67, 1)}


def test_operator_hears_of_the_lane_and_sees_it(assembly):
    alarms = " ".join(assembly.resources("AWS::CloudWatch::Alarm"))
    (dashboard,) = assembly.resources("AWS::CloudWatch::Dashboard").values()
    for metric in ("GpuBacklogSeconds", "GpuBacklogSecondsPerWorker", "GpuWorkersNeeded"):
        assert (f'"{metric}' in json.dumps(dashboard).replace("\\", "")) is not assembly.stage.emulated
    for alarm in ("GpuNoWorker", "GpuCrashes", "GpuSpotShortfall", "MeasureGpuLaneErrors"):
        assert (f"observability/{alarm}" in alarms) is not assembly.stage.emulated


def test_manifest_has_every_file_that_the_workflows_load_in_its_folder():
    folders = {
        "unet_name": "diffusion_models",
        "clip_name": "text_encoders",
        "vae_name": "vae",
        "lora_name": "loras",
        "ckpt_name": "checkpoints",
    }
    loaded = {
        (folders[field], value)
        for workflow in workflows().values()
        for node in workflow.graph.values()
        for field, value in node["inputs"].items()
        if field in folders
    }
    assert {(model.folder, model.name) for model in Manifest.read().root} == loaded


def test_manifest_stands_as_publishing_writes_it(tmp_path):
    Manifest.read().write(tmp_path / "models.yaml")
    assert (tmp_path / "models.yaml").read_text() == MANIFEST.read_text()


def test_models_that_do_not_fit_on_a_hosts_disk_are_refused():
    small = STAGE.model_copy(update={"gpu": ODD.model_copy(update={"cache_gb": 5})})
    with pytest.raises(ValueError, match=r"the models have 6\.0 GB; gpu\.cache_gb of stage test is below that"):
        gpu_of(small, manifest_of("test"))


@pytest.mark.parametrize("stage", [DEV, PROD], ids=lambda stage: stage.name)
def test_models_that_are_known_fit_on_the_stages_hosts(stage):
    assert len(PUBLISHED_GPU.of(stage)) == len(Manifest.read().root)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"name": "a.safetensors", "folder": "vae", "about": ""}] * 2, "names files twice: a.safetensors"),
        ([{"name": "../a.safetensors", "folder": "vae", "about": ""}], "should match pattern"),
        ([{"name": "a.pt", "folder": "vae", "about": ""}], "should match pattern"),
        ([{"name": "a.safetensors", "folder": "custom_nodes", "about": ""}], "Input should be 'checkpoints'"),
    ],
)
def test_manifest_that_cannot_be_is_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        Manifest.model_validate(entries)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"instance_types": ()}, "at least 1 item"),
        ({"instance_types": ("p5.48xlarge", "g5.2xlarge")}, "no worker can run on p5.48xlarge; cdk/gpu_instances.py"),
        ({"instance_types": ("g5.2xlarge", "g5.2xlarge")}, "names a type twice"),
        ({"cache_gb": 450}, "cache_gb 450 does not fit on the disk of g5.2xlarge, which has 450 GB"),
        ({"zones": 4}, "less than or equal to 3"),
        ({"max_spot": 0}, "greater than or equal to 1"),
        ({"min_workers": 46}, "46 workers that are always there are more than max_spot 45"),
        ({"min_workers": 5}, "no more workers than the 5 that are always there"),
        ({"warm_windows": (*ODD.warm_windows, *ODD.warm_windows)}, "warm_windows overlap"),
        ({"stall_limit_s": 1801}, "stall_limit_s 1801 must be below prompt_limit_s 1801"),
        ({"lease_s": 302}, "lease_s 302 is above visibility_s 301"),
        ({"stop_timeout_s": 121}, "less than or equal to 120"),
        ({"alarm_no_worker_min": 13}, "rings before on-demand instances are even asked for"),
        ({"wake_after_min": 37}, "rings before the first workers are even asked for, after wake_after_min 37"),
        ({"utilisation": 0}, "greater than 0"),
        ({"utilisation": 1.1}, "less than or equal to 1"),
        ({"drain_s": 29}, "greater than or equal to 30"),
        ({"arrivals_min": 4}, "greater than or equal to 5"),
        ({"spot_shortfall_min": 2}, "greater than or equal to 3"),
    ],
)
def test_lane_that_cannot_work_is_refused(changed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Gpu(**{**dict(ODD), **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"days": "MON,TUE"}, "should match pattern"),
        ({"from_hour": 19}, "from_hour 19 must be before to_hour 19"),
        ({"time_zone": "Shanghai"}, "'Shanghai' is no time zone"),
        ({"workers": 0}, "greater than or equal to 1"),
    ],
)
def test_window_that_is_none_is_refused(changed, message):
    (window,) = ODD.warm_windows
    with pytest.raises(ValueError, match=message):
        WarmWindow(**{**dict(window), **changed})


def test_default_hosts_hold_the_largest_model_on_gpu_and_host():
    for stage in (DEV, PROD):
        for name in stage.gpu.instance_types:
            host = INSTANCES[name]
            assert host.vram_gb + host.memory_gb > 2 * 28, name
