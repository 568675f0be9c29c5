"""The models' stack: endpoints for what is published, numbers from the configuration, nothing on the emulator."""

import json
import re

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Annotations, Match, Template

from backlot import assets
from backlot.operations import Lane, catalogue
from cdk.checkpoints import Checkpoints
from cdk.config import DEV, PROD
from cdk.gpu_models import Manifest
from sagemaker_models.serving.settings import Settings
from tests.contract.conftest import synthesise
from tests.contract.model_stages import ODD, SHA256, checkpoints_of, models_of, published, stage_with


@pytest.fixture(scope="module")
def odd() -> Template:
    return published(stage_with(odd=ODD))


@pytest.mark.parametrize("stage", [DEV, PROD], ids=lambda stage: stage.name)
def test_model_without_a_checkpoint_has_no_endpoint_and_an_output_says_so(stage):
    stack = models_of(stage, Checkpoints({}))
    template = Template.from_stack(stack)
    assert {each["Type"] for each in template.to_json()["Resources"].values()} == {
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
    }
    template.has_output("ModelsNotPublished", {"Value": ", ".join(sorted(stage.models))})
    assert stack.endpoints == []
    assert stack.alarms(Stack(App(), "Alarms")) == []


def test_model_with_a_checkpoint_is_not_listed_as_missing(odd):
    assert set(odd.to_json()["Outputs"]) == {"ModelSuccessTopicArn", "ModelErrorTopicArn"}


def test_one_published_of_two_models_has_an_endpoint():
    stage = stage_with(odd=ODD, **{"other-one": ODD})
    template = Template.from_stack(models_of(stage, checkpoints_of(stage_with(odd=ODD))))
    template.resource_count_is("AWS::SageMaker::Endpoint", 1)
    template.has_output("ModelsNotPublished", {"Value": "other-one"})


def test_models_of_one_platform_share_an_image():
    template = published(stage_with(odd=ODD, **{"other-one": ODD}))
    images = template.find_resources("AWS::SageMaker::Model").values()
    assert len(images) == 2
    assert len({json.dumps(each["Properties"]["PrimaryContainer"]["Image"]) for each in images}) == 1


def test_emulator_gets_topics_and_no_sagemaker(assembly):
    kinds = {
        kind
        for template in assembly.templates.values()
        for kind in (each["Type"] for each in template["Resources"].values())
        if kind.startswith(("AWS::SageMaker", "AWS::ApplicationAutoScaling"))
    }
    assert bool(kinds) is not assembly.stage.emulated
    assert {"ModelSuccessTopicArn", "ModelErrorTopicArn"} <= set(assembly.templates["models"]["Outputs"])


def test_emulator_gets_no_sagemaker_though_a_checkpoint_is_published():
    stage = stage_with(odd=ODD).model_copy(update={"emulated": True})
    stack = models_of(stage, checkpoints_of(stage))
    Template.from_stack(stack).resource_count_is("AWS::SageMaker::Endpoint", 0)
    assert stack.endpoint_name("odd") == "backlot-test-odd"


def test_endpoint_has_the_name_that_others_call_it_by(assembly):
    names = {each["Properties"]["EndpointName"] for each in assembly.resources("AWS::SageMaker::Endpoint").values()}
    wanted = set() if assembly.stage.emulated else {f"backlot-{assembly.stage.name}-{m}" for m in assembly.stage.models}
    assert names == wanted


def test_api_knows_and_may_look_at_the_endpoint_of_every_model(assembly):
    wanted = {model: f"backlot-{assembly.stage.name}-{model}" for model in assembly.stage.models}
    variables = assembly.functions()["serve_api"]["Environment"]["Variables"]
    described = assembly.actions_of("/ServeApiRole")["sagemaker:DescribeEndpoint"]
    assert json.loads(variables["MODEL_ENDPOINTS"]) == wanted
    assert set(re.findall(r":endpoint/([^\"]+)", described)) == set(wanted.values())
    assert variables["CLOSED_MODELS"] == ""


@pytest.mark.parametrize("stage", [DEV, PROD], ids=lambda stage: stage.name)
def test_stage_without_any_model_is_synthesised_and_its_api_knows_what_is_closed(stage, tmp_path, context):
    found = synthesise(stage, Checkpoints({}), tmp_path, context, Manifest.read())
    variables = found.functions()["serve_api"]["Environment"]["Variables"]
    assert variables["CLOSED_MODELS"].split(",") == sorted(stage.models)
    assert variables["CLOSED_LANES"] == "gpu"
    assert set(json.loads(variables["MODEL_ENDPOINTS"])) == set(stage.models)
    assert found.resources("AWS::SageMaker::Endpoint") == {}


def test_model_without_an_endpoint_is_closed_but_on_the_emulator():
    stage = stage_with(odd=ODD, **{"other-one": ODD})
    published = checkpoints_of(stage_with(odd=ODD))
    assert models_of(stage, published).closed == ("other-one",)
    assert models_of(stage.model_copy(update={"emulated": True}), published).closed == ()


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_operation_of_the_models_lane_names_models_that_every_stage_has(assembly, operation):
    assert set(operation.models) <= set(assembly.stage.models)
    assert operation.models or operation.lane is not Lane.MODEL


@pytest.mark.parametrize(
    ("portraits", "published", "warned"), [("own", False, True), ("own", True, False), ("fal", False, False)]
)
def test_synth_tells_that_portraits_would_be_refused(portraits, published, warned):
    stage = stage_with(flux=ODD).model_copy(update={"portraits": portraits})
    told = Annotations.from_stack(models_of(stage, checkpoints_of(stage) if published else Checkpoints({})))
    look = told.has_warning if warned else told.has_no_warning
    look("*", Match.string_like_regexp("portraits are to be made by flux"))


def test_flux_reads_faces_where_they_lie_and_no_other_model_does(assembly):
    readers = [name for name in assembly.stage.models if "faces/" in _read_by(assembly, name)]
    assert readers == ([] if assembly.stage.emulated else ["flux"])


def _read_by(assembly, model: str) -> str:
    part = model.title().replace("-", "")
    return assembly.actions_of(f"models/{part}Role").get("s3:GetObject", "")


def test_stages_make_portraits_at_fal_unless_somebody_decides_otherwise(assembly):
    assert assembly.functions()["serve_api"]["Environment"]["Variables"]["PORTRAIT_ROUTE"] == "fal"


def test_name_of_an_unknown_models_endpoint_is_refused():
    with pytest.raises(KeyError, match="no-model"):
        models_of(DEV, Checkpoints({})).endpoint_name("no-model")


def test_function_of_another_stack_may_invoke_the_stages_models_and_no_other_endpoint():
    stack = models_of(stage_with(odd=ODD, **{"other-one": ODD}), Checkpoints({}))
    caller = Stack(stack.node.root, "Caller")
    role = iam.Role(caller, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    stack.grant_invoke(role)
    (policy,) = Template.from_stack(caller).find_resources("AWS::IAM::Policy").values()
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sagemaker:InvokeEndpointAsync"
    endpoints = re.findall(r":endpoint/([^\"]+)", json.dumps(statement["Resource"]))
    assert endpoints == ["backlot-test-odd", "backlot-test-other-one"]
    assert "ImportValue" not in json.dumps(statement)


def test_container_hosts_the_published_weights_with_the_configured_server(odd):
    (model,) = odd.find_resources("AWS::SageMaker::Model").values()
    container = model["Properties"]["PrimaryContainer"]
    source = container["ModelDataSource"]["S3DataSource"]
    assert (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "None")
    assert json.dumps(source["S3Uri"]).count(f'"/models/odd/{SHA256}/"') == 1
    environment = container["Environment"]
    assert (environment["MODEL_CLASS"], environment["MAX_CONCURRENT"]) == (ODD.model_class, "2")


def settings_of(model) -> Settings:
    """Return the settings of a model's server; the bucket's name stands in them as `bucket`."""
    environment = dict(model["Properties"]["PrimaryContainer"]["Environment"])
    assert environment.pop("AWS_DEFAULT_REGION") == {"Ref": "AWS::Region"}
    assert set(environment) <= Settings.variables()
    joined = {
        name: value
        if isinstance(value, str)
        else "".join(part if isinstance(part, str) else "bucket" for part in value["Fn::Join"][1])
        for name, value in environment.items()
    }
    return Settings.model_validate(joined)


def test_server_has_a_place_for_all_that_sagemaker_hands_over(odd):
    (model,) = odd.find_resources("AWS::SageMaker::Model").values()
    settings = settings_of(model)
    assert settings.max_concurrent + settings.max_queue >= ODD.concurrency


def test_server_looks_for_releases_beside_the_requests_to_its_endpoint(odd):
    (model,) = odd.find_resources("AWS::SageMaker::Model").values()
    assert settings_of(model).release_object == "s3://bucket/model-requests/backlot-test-odd/release"


def test_server_fetches_large_files_of_its_own_tasks_and_only_if_the_model_takes_some():
    template = published(stage_with(odd=ODD.model_copy(update={"files_gb": 7}), **{"other-one": ODD}))
    found = {}
    for model in template.find_resources("AWS::SageMaker::Model").values():
        settings = settings_of(model)
        found[settings.files_prefix] = settings.files_bytes
    assert found == {"s3://bucket/models/odd/tasks/": 7_000_000_000, "": Settings().files_bytes}


def test_variant_has_the_configured_instances_and_time_limits(odd):
    odd.has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": Match.any_value(),
                    "InitialInstanceCount": ODD.min_instances,
                    "InstancePools": [
                        {"InstanceType": "ml.g5.xlarge", "Priority": 1},
                        {"InstanceType": "ml.g6.xlarge", "Priority": 2},
                    ],
                    "VariantInstanceProvisionTimeoutInSeconds": ODD.provision_timeout_s,
                    "ModelDataDownloadTimeoutInSeconds": ODD.download_timeout_s,
                    "ContainerStartupHealthCheckTimeoutInSeconds": ODD.startup_timeout_s,
                    "InferenceAmiVersion": ODD.inference_ami,
                }
            ],
        },
    )


def test_variant_that_scales_to_zero_begins_with_the_least_that_sagemaker_allows(assembly):
    for each in assembly.resources("AWS::SageMaker::EndpointConfig").values():
        (variant,) = each["Properties"]["ProductionVariants"]
        assert variant["InitialInstanceCount"] == 1


def test_answers_and_failures_are_kept_apart_and_told_to_their_topics(odd):
    (settings,) = odd.find_resources("AWS::SageMaker::EndpointConfig").values()
    answers = settings["Properties"]["AsyncInferenceConfig"]
    assert answers["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": ODD.concurrency}
    output = answers["OutputConfig"]
    # SageMaker puts a slash behind it.
    assert '"/model-results/backlot-test-odd"' in json.dumps(output["S3OutputPath"])
    assert '"/model-failures/backlot-test-odd"' in json.dumps(output["S3FailurePath"])
    outputs = odd.to_json()["Outputs"]
    assert output["NotificationConfig"] == {
        "SuccessTopic": outputs["ModelSuccessTopicArn"]["Value"],
        "ErrorTopic": outputs["ModelErrorTopicArn"]["Value"],
    }


def test_instances_scale_as_configured_and_only_once_the_endpoint_is_there(odd):
    (endpoint,) = odd.find_resources("AWS::SageMaker::Endpoint")
    (target,) = odd.find_resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert target["DependsOn"] == [endpoint]
    properties = target["Properties"]
    assert (properties["MinCapacity"], properties["MaxCapacity"]) == (ODD.min_instances, ODD.max_instances)
    assert properties["ResourceId"] == "endpoint/backlot-test-odd/variant/AllTraffic"


def test_scaling_aims_at_the_configured_backlog(odd):
    odd.has_resource_properties(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        {
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": ODD.backlog_per_instance,
                "ScaleInCooldown": ODD.scale_in_cooldown_s,
                "ScaleOutCooldown": ODD.scale_out_cooldown_s,
                "CustomizedMetricSpecification": {
                    "Namespace": "AWS/SageMaker",
                    "MetricName": "ApproximateBacklogSizePerInstance",
                    "Statistic": "Average",
                    "Dimensions": [{"Name": "EndpointName", "Value": "backlot-test-odd"}],
                },
            },
        },
    )


def test_waiting_requests_start_the_first_instance(odd):
    policies = odd.find_resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    ((wake, policy),) = (
        (name, each["Properties"])
        for name, each in policies.items()
        if each["Properties"]["PolicyType"] == "StepScaling"
    )
    assert policy["StepScalingPolicyConfiguration"] == {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": ODD.wake_cooldown_s,
        "MetricAggregationType": "Average",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    }
    odd.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmActions": [{"Ref": wake}],
            "Namespace": "AWS/SageMaker",
            "MetricName": "HasBacklogWithoutCapacity",
            "Dimensions": [{"Name": "EndpointName", "Value": "backlot-test-odd"}],
            "Period": 60,
            "EvaluationPeriods": ODD.wake_after_min,
            "DatapointsToAlarm": ODD.wake_after_min,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "missing",
        },
    )


def test_alarms_ring_at_the_configured_numbers():
    stage = stage_with(odd=ODD)
    stack = models_of(stage, checkpoints_of(stage))
    scope = Stack(stack.node.root, "Alarms")
    assert len(stack.alarms(scope)) == 3
    of_endpoint = {"Name": "EndpointName", "Value": "backlot-test-odd"}
    of_variant = {"Name": "VariantName", "Value": "AllTraffic"}
    alarms = {
        each["Properties"]["MetricName"]: each["Properties"]
        for each in Template.from_stack(scope).find_resources("AWS::CloudWatch::Alarm").values()
    }
    found = {name: (alarm["Threshold"], alarm["Dimensions"]) for name, alarm in alarms.items()}
    assert found == {
        "InvocationFailures": (ODD.alarm_failures, [of_endpoint, of_variant]),
        "ExpiredRequests": (1, [of_endpoint, of_variant]),
        "ApproximateAgeOfOldestRequest": (ODD.alarm_oldest_s, [of_endpoint]),
    }


def test_operator_hears_of_every_model(assembly):
    names = " ".join(assembly.resources("AWS::CloudWatch::Alarm"))
    for model in assembly.stage.models:
        for alarm in ("Failures", "Age", "Expired"):
            name = f"observability/{model.title().replace('-', '')}Model{alarm}"
            assert (name in names) is not assembly.stage.emulated


@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        ("schp", set(), {"images/body_masks/"}),
        ("segment", set(), {"images/smart_masks/", "images/cut_outs/"}),
        ("qwen-edit", set(), {"images/masked_edits/", "debug/"}),
        ("flux", {"faces/"}, {"portraits/"}),
    ],
)
def test_model_may_do_what_sagemaker_and_its_server_do_and_nothing_else(assembly, model, inputs, outputs):
    granted = assembly.actions_of(f"models/{model.title().replace('-', '')}Role")
    if assembly.stage.emulated:
        assert granted == {}
        return
    assert set(granted) == {
        "cloudwatch:PutMetricData",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "sns:Publish",
    }
    endpoint = f"backlot-{assembly.stage.name}-{model}"
    folders = {action: set(re.findall(r'"/([^"]*)\*"', granted[action])) for action in granted}
    assert (
        folders["s3:GetObject"]
        == {
            "images/",
            "model-requests/",
            f"models/{model}/",
            "portraits/",
            "seedream/",
            "uploads/",
        }
        | inputs
    )
    answers = {f"model-results/{endpoint}/", f"model-failures/{endpoint}/"}
    assert folders["s3:PutObject"] == outputs | answers
    assert folders["s3:AbortMultipartUpload"] == answers
    assert granted["sns:Publish"].count('"Ref"') == 2


def test_role_is_there_before_sagemaker_tries_it(odd):
    policies = odd.find_resources("AWS::IAM::Policy")
    (model,) = odd.find_resources("AWS::SageMaker::Model").values()
    assert set(policies) <= set(model["DependsOn"])


def test_log_of_an_endpoint_is_not_kept_for_ever(odd):
    odd.has_resource_properties(
        "AWS::Logs::LogGroup", {"LogGroupName": "/aws/sagemaker/Endpoints/backlot-test-odd", "RetentionInDays": 30}
    )


def test_models_never_expire_and_everything_else_does(assembly):
    (bucket,) = assembly.resources("AWS::S3::Bucket").values()
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    assert not [prefix for prefix in days if "models/".startswith(prefix)]
    for prefix in ("model-requests/", "model-results/", "model-failures/"):
        assert days[prefix] == assembly.stage.model_exchange_days
    written = {value for name, value in vars(assets).items() if name.endswith("_PREFIX")}
    written |= {prefix for model in assembly.stage.models.values() for prefix in model.output_prefixes}
    assert {prefix for prefix in written if not prefix.startswith((*days, "models/"))} == set()


def test_parts_that_are_not_for_commercial_use_are_told_by_synth_and_by_the_stack():
    licences = [
        {"part": "A", "licence": "MIT", "commercial": True, "instead": ""},
        {"part": "B", "licence": "research only", "commercial": False, "instead": "C"},
        {"part": "D", "licence": "none is stated", "commercial": None, "instead": "ask"},
    ]
    stage = stage_with(odd=ODD, **{"other-one": ODD})
    published = checkpoints_of(stage).root["test"]
    odd = published["odd"].model_copy(update={"found": {"licences": licences}})
    stack = models_of(stage, Checkpoints({"test": {**published, "odd": odd}}))
    sentences = [f"odd: {sentence}" for sentence in odd.restrictions]
    assert len(sentences) == 2
    told = Annotations.from_stack(stack)
    for sentence in sentences:
        told.has_warning("/models", Match.string_like_regexp(f"^{re.escape(sentence)}"))
    told.has_no_warning("*", Match.string_like_regexp("(odd: A is|other-one)"))
    Template.from_stack(stack).has_output("ModelsNotForCommercialUse", {"Value": "; ".join(sentences)})
