"""Masked edits of photos with Qwen-Image-Edit-2509 and -2511: insertion, removal, white balance."""
