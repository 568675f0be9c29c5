"""camera-angle: Qwen-Image-Edit-2509 with the camera's LoRA, in the 8 steps of Lightning.

Node ids are those of the replaced server's workflow. Its text encoder was loaded with type `stable_diffusion`, which is
none for this encoder: it is `qwen_image`. Its Lightning was that of Qwen-Image; the one here is made for this model.
"""

from backlot.comfyui.graphs import Binding

BINDING = Binding(
    images={"image_url": "31.image"},
    values={"prompt": "11.prompt", "seed": "14.seed", "steps": "14.steps"},
    model="qwen-image-edit-2509",
)
