"""qwen-image-edit: Qwen-Rapid-AIO, one checkpoint with model, text encoder and VAE, in 4 steps.

Node ids are those of the replaced server's workflow, without its node 9, which was linked to nothing. An image that is
not there is left out; the old server put image 1 in its place again.
"""

from backlot.comfyui.graphs import Binding

BINDING = Binding(
    images={"image_url": "10.image", "image2_url": "8.image", "image3_url": "11.image"},
    values={
        "prompt": "3.prompt",
        "seed": "2.seed",
        "steps": "2.steps",
        "cfg": "2.cfg",
        "sampler_name": "2.sampler_name",
        "scheduler": "2.scheduler",
        "denoise": "2.denoise",
    },
    model="qwen-rapid-aio-v11",
)
