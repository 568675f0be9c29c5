"""Models: an asynchronous SageMaker endpoint for each published model, and the topics that tell the results."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from aws_cdk import Annotations, CfnOutput
from aws_cdk import Stack as CdkStack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from backlot.operations.identity_portrait import FLUX, OWN
from cdk.checkpoints import Checkpoint
from cdk.config import Stage
from cdk.constructs.model_endpoint import AsyncEndpoint, endpoint_arn
from cdk.constructs.model_image import ModelImage
from cdk.names import endpoint_name
from cdk.stacks.storage import StorageStack


class ModelsStack(CdkStack):
    """Models of our own.

    Args:
        stage: of the deployment.
        storage: with the weights, the requests and the answers.
        checkpoints: what is published in the stage, by model; a model without one has no endpoint.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        storage: StorageStack,
        checkpoints: Mapping[str, Checkpoint],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._stage, self._storage = stage, storage
        self.succeeded = sns.Topic(self, "Succeeded", enforce_ssl=True)
        self.failed = sns.Topic(self, "Failed", enforce_ssl=True)
        # The emulator has no SageMaker; local mode has a stand-in for its runtime.
        hosted = {} if stage.emulated else {name: checkpoints[name] for name in stage.models if name in checkpoints}
        image = cache(self._image)
        self.endpoints = [
            self._endpoint(name, checkpoint, image(stage.models[name].platform)) for name, checkpoint in hosted.items()
        ]
        CfnOutput(self, "ModelSuccessTopicArn", value=self.succeeded.topic_arn)
        CfnOutput(self, "ModelErrorTopicArn", value=self.failed.topic_arn)
        self.closed = () if stage.emulated else tuple(sorted(set(stage.models) - set(hosted)))
        if self.closed:
            CfnOutput(
                self,
                "ModelsNotPublished",
                value=", ".join(self.closed),
                description="Models without an endpoint, see make publish-model",
            )

        if stage.portraits == OWN and FLUX in self.closed:
            said = f"portraits are to be made by {FLUX}, which is not published: they are refused as NOT_DEPLOYED"
            Annotations.of(self).add_warning_v2("backlot:portraits", said)
        self._tell_restrictions(hosted)

    def _tell_restrictions(self, hosted: Mapping[str, Checkpoint]) -> None:
        """Have synth, deploy and the stack's outputs say what may not be used commercially."""
        bound = {name: checkpoint.restrictions for name, checkpoint in hosted.items() if checkpoint.restrictions}
        for name, sentences in bound.items():
            for number, sentence in enumerate(sentences, start=1):
                Annotations.of(self).add_warning_v2(f"backlot:licence-{name}-{number}", f"{name}: {sentence}")
        if bound:
            CfnOutput(
                self,
                "ModelsNotForCommercialUse",
                value="; ".join(f"{name}: {sentence}" for name, each in bound.items() for sentence in each),
                description="Parts of published models whose licences forbid commercial use, or are not known",
            )

    def _image(self, platform: Literal["cpu", "cuda"]) -> ModelImage:
        name, index = f"{platform.capitalize()}Image", self._stage.torch_cpu_index
        return ModelImage(self, name, platform=platform, torch_cpu_index=index)

    def _endpoint(self, name: str, checkpoint: Checkpoint, image: ModelImage) -> AsyncEndpoint:
        return AsyncEndpoint(
            self,
            name.title().replace("-", ""),
            stage=self._stage,
            model=name,
            sha256=checkpoint.sha256,
            image=image,
            assets=self._storage.assets,
            succeeded=self.succeeded,
            failed=self.failed,
        )

    def endpoint_name(self, model: str) -> str:
        """Return the name of a model's endpoint, whether or not there is one yet.

        Raises:
            KeyError: the stage has no such model.
        """
        if model not in self._stage.models:
            raise KeyError(model)
        return endpoint_name(self._stage, model)

    def grant_invoke(self, role: iam.Role) -> None:
        """Let a function of another stack send requests to all models of the stage, by their names."""
        endpoints = [endpoint_arn(role, self._stage, model) for model in sorted(self._stage.models)]
        role.add_to_policy(iam.PolicyStatement(actions=["sagemaker:InvokeEndpointAsync"], resources=endpoints))

    def alarms(self, scope: Construct) -> list[cloudwatch.Alarm]:
        """Make the alarms of all endpoints."""
        return [alarm for endpoint in self.endpoints for alarm in endpoint.alarms(scope)]
