"""The bucket of results and uploads, and the CDN before it."""

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from backlot.assets import (
    DEBUG_PREFIX,
    FACE_PREFIX,
    MODEL_FAILURE_PREFIX,
    MODEL_REQUEST_PREFIX,
    MODEL_RESULT_PREFIX,
)
from backlot.image_urls import READABLE_PREFIXES
from cdk.config import Stage
from cdk.constructs.acknowledged import accept, accept_warning, accept_wildcards

#: What the CDN serves to everybody who knows an object's name; uploads are read by the workers only.
PUBLIC_PREFIXES = tuple(prefix for prefix in READABLE_PREFIXES if prefix != "uploads/")


class AssetStore(Construct):
    """One bucket that nobody reaches but our functions and our distribution.

    Args:
        stage: of the deployment.
        bucket_name: of the bucket.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, bucket_name: str) -> None:
        super().__init__(scope, construct_id)
        self._bucket_name = bucket_name
        origins_allowed = list(stage.cors_origins)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=bucket_name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN if stage.keep_data else RemovalPolicy.DESTROY,
            cors=[
                s3.CorsRule(
                    allowed_methods=[s3.HttpMethods.GET, s3.HttpMethods.HEAD, s3.HttpMethods.POST, s3.HttpMethods.PUT],
                    allowed_origins=origins_allowed,
                    allowed_headers=["*"],
                    exposed_headers=["ETag"],
                    max_age=3600,
                )
            ],
            lifecycle_rules=_lifecycle(stage),
        )
        accept(
            self.bucket,
            "who reads results is seen in the CDN's metrics; a log bucket would cost more than they do",
            "S1",
        )
        self.distribution = self._distribution(origins_allowed)
        self._let_the_distribution_read()
        self.base_url = stage.cdn_base_url or f"https://{self.distribution.distribution_domain_name}"

    def _distribution(self, origins_allowed: list[str]) -> cloudfront.Distribution:
        headers = cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            cors_behavior=cloudfront.ResponseHeadersCorsBehavior(
                access_control_allow_credentials=False,
                access_control_allow_headers=["*"],
                access_control_allow_methods=["GET", "HEAD"],
                access_control_allow_origins=origins_allowed,
                access_control_max_age=Duration.hours(1),
                origin_override=True,
            ),
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True)
            ),
        )
        # The bucket is passed by name, so that CDK does not let the distribution read all of it.
        bucket = s3.Bucket.from_bucket_name(self, "Origin", self.bucket.bucket_name)
        distribution = cloudfront.Distribution(
            self,
            "Cdn",
            comment="Backlot's results",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                response_headers_policy=headers,
            ),
        )
        accept_warning(
            distribution,
            "the bucket's policy is written below, for some prefixes only",
            "@aws-cdk/aws-cloudfront-origins:updateImportedBucketPolicyOac",
        )
        accept(distribution, "results may be looked at from everywhere", "CFR1")
        accept(distribution, "it serves immutable files; the firewall stands before the API", "CFR2")
        accept(distribution, "requests for results are seen in its metrics; a log bucket would cost more", "CFR3")
        accept(distribution, "without a domain of the studio's own, CloudFront's certificate fixes the version", "CFR4")
        return distribution

    def _let_the_distribution_read(self) -> None:
        self.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject"],
                principals=[iam.ServicePrincipal("cloudfront.amazonaws.com")],
                resources=[self.bucket.arn_for_objects(f"{prefix}*") for prefix in PUBLIC_PREFIXES],
                conditions={"StringEquals": {"AWS:SourceArn": self.distribution.distribution_arn}},
            )
        )

    def grant_read(self, role: iam.Role, *more: str) -> None:
        """Let a function read what a request may name, and objects below more prefixes."""
        self._grant(role, "s3:GetObject", (*READABLE_PREFIXES, *more))

    def grant_read_below(self, role: iam.Role, *prefixes: str) -> None:
        """Let a function read objects below the prefixes, and no others."""
        self._grant(role, "s3:GetObject", prefixes)

    def grant_write(self, role: iam.Role, *prefixes: str) -> None:
        """Let a function write objects below the prefixes."""
        self._grant(role, "s3:PutObject", prefixes)

    def grant_write_objects(self, role: iam.Role, *keys: str) -> None:
        """Let a function write the objects that are named."""
        arns = [f"arn:{Aws.PARTITION}:s3:::{self._bucket_name}/{key}" for key in keys]
        role.add_to_policy(iam.PolicyStatement(actions=["s3:PutObject"], resources=arns))

    def grant_abort(self, role: iam.Role, *prefixes: str) -> None:
        """Let a function give up objects that it began to write in parts."""
        self._grant(role, "s3:AbortMultipartUpload", prefixes)

    def grant_list(self, role: iam.Role) -> None:
        """Let a role list the bucket; without, S3 tells it that an object is forbidden when there is none."""
        role.add_to_policy(
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[f"arn:{Aws.PARTITION}:s3:::{self._bucket_name}"])
        )

    def grant_sweep(self, role: iam.Role, prefix: str) -> None:
        """Let a function list and delete objects below a prefix."""
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[f"arn:{Aws.PARTITION}:s3:::{self._bucket_name}"],
                conditions={"StringLike": {"s3:prefix": f"{prefix}*"}},
            )
        )
        self._grant(role, "s3:DeleteObject", (prefix,))

    def _grant(self, role: iam.Role, action: str, prefixes: tuple[str, ...]) -> None:
        arns = [f"arn:{Aws.PARTITION}:s3:::{self._bucket_name}/{prefix}*" for prefix in prefixes]
        role.add_to_policy(iam.PolicyStatement(actions=[action], resources=arns))
        accept_wildcards(role, "objects are named by tasks; what is granted is their folder", *arns)


def _lifecycle(stage: Stage) -> list[s3.LifecycleRule]:
    """Name each folder that expires: S3 knows no rule with an exception, and models stay."""
    days = {
        **dict.fromkeys((*READABLE_PREFIXES, DEBUG_PREFIX), stage.result_days),
        # The sweep deletes faces after an hour; a day is the shortest that S3 itself knows.
        FACE_PREFIX: 1,
        MODEL_REQUEST_PREFIX: stage.model_exchange_days,
        MODEL_RESULT_PREFIX: stage.model_exchange_days,
        MODEL_FAILURE_PREFIX: stage.model_exchange_days,
    }
    return [
        *(s3.LifecycleRule(expiration=Duration.days(count), prefix=prefix) for prefix, count in days.items()),
        s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1)),
    ]
