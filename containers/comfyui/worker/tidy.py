"""Deletes what ComfyUI has no use for any more: it keeps every upload and every result for ever."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from aws_lambda_powertools import Logger

from containers.comfyui.worker.inputs import UPLOADED
from containers.comfyui.worker.prompts import PREFIX

#: How often old files are looked for, seconds.
_EVERY_S = 600.0

#: Age at which results are deleted, which are read as soon as they are there, and uploads, which later graphs may name
#: for as long as the hour lasts in which they were made; both are longer than a graph may run. Seconds.
RESULT_AGE_S, UPLOAD_AGE_S = 8 * 3600.0, 24 * 3600.0

logger = Logger()


async def tidy(folder: str) -> None:
    """Delete old files again and again; until cancelled.

    Args:
        folder: with ComfyUI's `input`, `output` and `temp` in it; empty if it is not our business.
    """
    while folder:
        deleted = await asyncio.to_thread(delete_old, Path(folder), time.time())
        if deleted:
            logger.info("old files of ComfyUI's are deleted", files=deleted)
        await asyncio.sleep(_EVERY_S)


def delete_old(folder: Path, now_s: float) -> int:
    """Delete old files of ours; return how many.

    Args:
        folder: with ComfyUI's folders in it.
        now_s: Unix seconds.
    """
    old = [
        *_older(folder / "output" / PREFIX, "**/*", now_s - RESULT_AGE_S),
        *_older(folder / "temp", "**/*", now_s - RESULT_AGE_S),
        *_older(folder / "input", f"{UPLOADED}*", now_s - UPLOAD_AGE_S),
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _older(folder: Path, pattern: str, before_s: float) -> Iterator[Path]:
    for path in folder.glob(pattern):
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before_s:
            yield path
