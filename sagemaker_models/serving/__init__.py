"""The model server: SageMaker's container contract around any class of `sagemaker_models.serving.model.Model`."""
