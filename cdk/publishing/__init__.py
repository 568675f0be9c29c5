"""Publishes models: `make publish-model MODEL=schp STAGE=dev WEIGHTS=…`, `make publish-gpu-model FILE=… STAGE=dev`.

Nothing deployed imports it.
"""
