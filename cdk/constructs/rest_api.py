"""The REST API: keys, usage plans, throttling, and our own answers where the gateway itself says no."""

import json

from aws_cdk import Aws, Duration, RemovalPolicy, Tags
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept

#: Routes that need no key.
OPEN_ROUTES = ("health", "ping", "openapi.json", "docs", "api", "api/health", "api/system/health")

#: What the gateway says itself: response type, status, public code, sentence, remedy, whether to retry.
_GATEWAY_ANSWERS = (
    ("MISSING_AUTHENTICATION_TOKEN", "403", "FORBIDDEN", "There is no such route, or the API key is missing",
     "Send the header x-api-key, and see /docs for the routes.", False),
    ("INVALID_API_KEY", "403", "INVALID_API_KEY", "The API key is missing or unknown",
     "Send a key of this deployment in the header x-api-key.", False),
    ("ACCESS_DENIED", "403", "FORBIDDEN", "Access is denied",
     "Send a key of this deployment in the header x-api-key.", False),
    ("WAF_FILTERED", "403", "FILTERED", "The firewall refused the request",
     "Send fewer requests, or ask the operator which rule it was.", True),
    ("THROTTLED", "429", "THROTTLED", "The API key sends too many requests", "Send fewer requests a second.", True),
    ("QUOTA_EXCEEDED", "429", "QUOTA_EXCEEDED", "The API key has used up its quota",
     "Wait for the next day, or ask the operator for another usage plan.", False),
    ("REQUEST_TOO_LARGE", "413", "REQUEST_TOO_LARGE", "The request is too large",
     "Upload the images, see POST /api/v1/uploads, and send their image_url instead.", False),
    ("INTEGRATION_TIMEOUT", "504", "TIMED_OUT", "The API did not answer in time", "Send the request again.", True),
    ("INTEGRATION_FAILURE", "504", "UNAVAILABLE", "The API is unavailable", "Send the request again.", True),
)  # fmt: skip


class StudioApi(Construct):
    """A regional REST API that hands every request to one function.

    Args:
        stage: of the deployment.
        target: the function, or its alias.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, target: lambda_.IFunction) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        self.api = self._rest_api()
        integration = apigateway.LambdaIntegration(target, proxy=True, timeout=Duration.seconds(29))
        for route in OPEN_ROUTES:
            self._route(self.api.root.resource_for_path(route), integration, ["GET"], api_key_required=False)
        self._route(self.api.root.add_resource("process"), integration, ["POST"], api_key_required=True)
        self._route(self.api.root.add_resource("stats"), integration, ["GET"], api_key_required=True)
        everything = self.api.root.resource_for_path("api/{proxy+}")
        self._route(everything, integration, ["GET", "POST", "DELETE"], api_key_required=True)
        self._answers()
        self.key_ids = self._keys()
        if stage.waf:
            self._firewall()

    def add_webhook(self, provider: str, target: lambda_.IFunction) -> None:
        """Let a provider tell results at `/webhooks/<provider>`; it signs them and has no key of ours."""
        webhooks = self.api.root.get_resource("webhooks") or self.api.root.add_resource("webhooks")
        webhooks.add_resource(provider).add_method(
            "POST",
            apigateway.LambdaIntegration(target, proxy=True, timeout=Duration.seconds(29)),
            api_key_required=False,
        )

    def _rest_api(self) -> apigateway.RestApi:
        log = logs.LogGroup(
            self, "AccessLog", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
        )
        api = apigateway.RestApi(
            self,
            "RestApi",
            rest_api_name=f"backlot-{self._stage.name}",
            endpoint_configuration=apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL]),
            cloud_watch_role=not self._stage.emulated,
            min_compression_size=None,
            # Forms carry files, and some answers are pictures; as text they would arrive broken. An answer is binary
            # if the first type that the client accepts is, and browsers accept "*/*". Bodies therefore come in base64.
            binary_media_types=["*/*"],
            deploy_options=apigateway.StageOptions(
                stage_name=self._stage.api_stage,
                throttling_rate_limit=1000,
                throttling_burst_limit=2000,
                metrics_enabled=True,
                tracing_enabled=self._stage.tracing,
                access_log_destination=apigateway.LogGroupLogDestination(log),
                access_log_format=apigateway.AccessLogFormat.custom(
                    json.dumps(
                        {
                            "request_id": "$context.requestId",
                            "key_id": "$context.identity.apiKeyId",
                            "ip": "$context.identity.sourceIp",
                            "method": "$context.httpMethod",
                            "path": "$context.path",
                            "status": "$context.status",
                            "latency_ms": "$context.responseLatency",
                            "error": "$context.error.responseType",
                        }
                    )
                ),
            ),
        )
        # The emulator then serves the API under this id, so that its address is known before it is deployed.
        Tags.of(api).add("ms-custom-id", f"backlot{self._stage.name}")
        accept(api, "API keys name the callers; there are no users to sign in", "APIG4", "COG4")
        accept(
            api, "the function checks every body against the operation's model and names all problems at once", "APIG2"
        )
        accept(api, "the access log has every request; the function's log has its errors", "APIG6")
        if not self._stage.waf:
            accept(api, "this stage has no firewall", "APIG3")
        if self._stage.emulated is False:
            accept(
                api,
                "API Gateway asks for this managed policy to write logs",
                "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
            )
        return api

    def _route(
        self,
        resource: apigateway.IResource,
        integration: apigateway.Integration,
        methods: list[str],
        *,
        api_key_required: bool,
    ) -> None:
        for method in methods:
            resource.add_method(method, integration, api_key_required=api_key_required)
        # A browser's preflight carries no key; the function answers it for the stage's origins.
        resource.add_method("OPTIONS", integration, api_key_required=False)

    def _answers(self) -> None:
        """Give the gateway's own errors the shape of ours, readable by pages."""
        origins = self._stage.cors_origins
        headers = {"Access-Control-Allow-Origin": f"'{origins[0] if len(origins) == 1 else '*'}'"}
        for kind, status, code, message, remedy, retry in _GATEWAY_ANSWERS:
            error = {"code": code, "message": message, "remedy": remedy, "retry": retry}
            self.api.add_gateway_response(
                kind.title().replace("_", ""),
                type=apigateway.ResponseType.of(kind),
                status_code=status,
                response_headers=headers,
                templates={"application/json": json.dumps({"detail": message, "error": error})},
            )
        for kind in ("DEFAULT_4XX", "DEFAULT_5XX"):
            self.api.add_gateway_response(
                kind.title().replace("_", ""), type=apigateway.ResponseType.of(kind), response_headers=headers
            )

    def _keys(self) -> dict[str, str]:
        """Make the usage plans and the keys that exist from the start; return the keys' ids by name."""
        plans = {}
        for name, plan in self._stage.usage_plans.items():
            quota = plan.quota_per_day
            plans[name] = self.api.add_usage_plan(
                f"Plan{name.capitalize()}",
                name=f"backlot-{self._stage.name}-{name}",
                throttle=apigateway.ThrottleSettings(rate_limit=plan.rate, burst_limit=plan.burst),
                quota=apigateway.QuotaSettings(limit=quota, period=apigateway.Period.DAY) if quota else None,
            )
            plans[name].add_api_stage(stage=self.api.deployment_stage)
        ids = {}
        for key in self._stage.api_keys:
            made = self.api.add_api_key(
                f"Key{key.name.capitalize()}", api_key_name=f"backlot-{self._stage.name}-{key.name}"
            )
            plans[key.plan].add_api_key(made)
            ids[key.name] = made.key_id
        return ids

    def _firewall(self) -> None:
        """Stand a firewall before the API: a rate for each address, and AWS' lists of bad addresses and inputs."""
        rules = [
            _rule("Rate", 0, {"rateBasedStatement": {"limit": 3000, "aggregateKeyType": "IP"}}, action={"block": {}}),
            _rule("Reputation", 1, _managed("AWSManagedRulesAmazonIpReputationList"), override={"none": {}}),
            _rule("KnownBadInputs", 2, _managed("AWSManagedRulesKnownBadInputsRuleSet"), override={"none": {}}),
        ]
        acl = wafv2.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility("Firewall"),
            rules=rules,
        )
        stage = self.api.deployment_stage
        arn = f"arn:{Aws.PARTITION}:apigateway:{Aws.REGION}::/restapis/{self.api.rest_api_id}/stages/{stage.stage_name}"
        wafv2.CfnWebACLAssociation(self, "FirewallAssociation", resource_arn=arn, web_acl_arn=acl.attr_arn)

    def alarms(self, scope: Construct, *, errors: int) -> list[cloudwatch.Alarm]:
        """Make the alarm of server errors."""
        return [
            cloudwatch.Alarm(
                scope,
                "ApiServerErrors",
                alarm_description=f"The API answered {errors} requests or more with 5xx within 5 minutes.",
                metric=self.api.metric_server_error(period=Duration.minutes(5), statistic="Sum"),
                threshold=errors,
                evaluation_periods=1,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
        ]


def _managed(name: str) -> dict[str, object]:
    return {"managedRuleGroupStatement": {"vendorName": "AWS", "name": name}}


def _visibility(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=True
    )


def _rule(
    name: str,
    priority: int,
    statement: dict[str, object],
    *,
    action: dict[str, object] | None = None,
    override: dict[str, object] | None = None,
) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        statement=statement,
        action=action,
        override_action=override,
        visibility_config=_visibility(name),
    )
