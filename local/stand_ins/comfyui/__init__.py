"""Stand-in of ComfyUI: its HTTP and WebSocket protocol, image nodes for real, and effects instead of models.

It answers as ComfyUI 0.3.64, or as 0.33 does where that differs. Pixels are worked on by Pillow and OpenCV; loaders,
encoders and samplers only carry along what they stand for, and the decoder draws a marked effect of the instruction.
Every file says `engine: stand-in`.
"""
