"""The GPU hosts' container: ComfyUI, our worker beside it, and the workflows that it runs."""
