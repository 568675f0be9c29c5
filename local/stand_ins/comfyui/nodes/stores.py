"""Nodes that read uploads and write results."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo

from local.stand_ins.comfyui.cache import Made
from local.stand_ins.comfyui.nodes.images import Images, to_pillow
from local.stand_ins.comfyui.nodes.job import Job
from local.stand_ins.comfyui.nodes.sounds import Silence, Video, flac

#: What every file says of itself.
ENGINE = "stand-in"

#: An image without an alpha channel gets an empty mask of this side, whatever its own size is.
NO_MASK_PX = 64

_WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}


def _load_image(job: Job, image: str) -> Made:
    frames: list[Images] = []
    masks: list[Images] = []
    with Image.open(_found(job, image)) as opened:
        for frame in ImageSequence.Iterator(opened):
            turned = ImageOps.exif_transpose(frame)
            pixels = np.asarray(turned.convert("RGB"), np.float32) / 255.0
            if frames and pixels.shape != frames[0].shape:
                continue
            frames.append(pixels)
            masks.append(_transparency(turned))
        is_single = opened.format == "MPO"
    shown = slice(0, 1) if is_single else slice(None)
    return Made((np.stack(frames[shown]), np.stack(masks[shown])))


def _transparency(image: Image.Image) -> Images:
    if "A" in image.getbands() or (image.mode == "P" and "transparency" in image.info):
        return 1 - np.asarray(image.convert("RGBA").getchannel("A"), np.float32) / 255.0
    return np.zeros((NO_MASK_PX, NO_MASK_PX), np.float32)


def _load_image_mask(job: Job, image: str, channel: str) -> Made:
    with Image.open(_found(job, image)) as opened:
        pixels = np.asarray(ImageOps.exif_transpose(opened).convert("RGBA"), np.float32) / 255.0
    chosen = pixels[..., ["red", "green", "blue", "alpha"].index(channel)]
    return Made(((1 - chosen if channel == "alpha" else chosen)[None],))


def _found(job: Job, name: str) -> Path:
    path = job.folders.find(name)
    if path is None:
        raise FileNotFoundError(f"{name} is gone")
    return path


def _save_image(job: Job, images: Images, filename_prefix: str) -> Made:
    return _saved(job, images, filename_prefix, "output")


def _preview_image(job: Job, images: Images) -> Made:
    return _saved(job, images, "ComfyUI_temp_stand", "temp")


def _saved(job: Job, images: Images, prefix: str, kind: str) -> Made:
    files = []
    metadata = PngInfo()
    for name, text in _metadata(job).items():
        metadata.add_text(name, text)
    for image in images:
        path, subfolder = job.folders.next_path(prefix, kind, ".png")
        to_pillow(image).save(path, pnginfo=metadata, compress_level=1)
        files.append(_shown(path, subfolder, kind))
    return Made((), {"images": files})


def _save_animated_webp(job: Job, images: Images, filename_prefix: str, fps: float, **coding: Any) -> Made:
    frames = [to_pillow(each) for each in images]
    exif = frames[0].getexif()
    exif[ExifTags.Base.Model] = f"prompt:{json.dumps(job.graph)}"
    exif[ExifTags.Base.Software] = f"engine: {ENGINE}"
    path, subfolder = job.folders.next_path(filename_prefix, "output", ".webp")
    frames[0].save(
        path,
        save_all=True,
        duration=int(1000 / fps),
        append_images=frames[1:],
        exif=exif,
        lossless=coding["lossless"],
        quality=coding["quality"],
        method=_WEBP_METHODS[coding["method"]],
    )
    return Made((), {"images": [_shown(path, subfolder, "output")], "animated": [len(frames) != 1]})


def _save_video(job: Job, video: Video, filename_prefix: str, format: str, codec: str) -> Made:  # noqa: A002, ARG001
    path, subfolder = job.folders.next_path(filename_prefix, "output", ".mp4")
    height, width = video.frames.shape[1:3]
    # OpenCV's wheels have no H.264 encoder.
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), video.fps, (width, height))
    for frame in video.frames:
        writer.write(cv2.cvtColor(np.asarray(to_pillow(frame)), cv2.COLOR_RGB2BGR))
    writer.release()
    return Made((), {"images": [_shown(path, subfolder, "output")], "animated": [True]})


def _save_audio(job: Job, audio: Silence, filename_prefix: str) -> Made:
    path, subfolder = job.folders.next_path(filename_prefix, "output", ".flac")
    path.write_bytes(flac(audio))
    return Made((), {"audio": [_shown(path, subfolder, "output")]})


def _metadata(job: Job) -> dict[str, str]:
    more = job.extra_data.get("extra_pnginfo") or {}
    parts = {"prompt": job.graph, **more}
    return {name: json.dumps(part) for name, part in parts.items()} | {"engine": ENGINE}


def _shown(path: Path, subfolder: str, kind: str) -> dict[str, Any]:
    return {"filename": path.name, "subfolder": subfolder, "type": kind}


NODES: Mapping[str, Callable[..., Made]] = {
    "LoadImage": _load_image,
    "LoadImageMask": _load_image_mask,
    "SaveImage": _save_image,
    "PreviewImage": _preview_image,
    "SaveAnimatedWEBP": _save_animated_webp,
    "SaveVideo": _save_video,
    "SaveAudio": _save_audio,
}
