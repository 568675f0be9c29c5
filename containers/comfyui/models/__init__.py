"""Brings the models of the GPU lane from the bucket to the host's disk, before ComfyUI starts."""
