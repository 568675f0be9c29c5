"""Publishes models: `make publish-model MODEL=schp STAGE=dev WEIGHTS=…`, `make publish-gpu-model FILE=… STAGE=dev`.

With `TASK=…` the first one publishes a checkpoint of a model's task.
Nothing deployed imports it.
"""
