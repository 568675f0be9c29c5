"""What each operation's demo asks for: the catalogue's example with pictures that exist, or several tasks."""

import io
from collections.abc import Callable, Generator
from typing import Any

from PIL import Image

from backlot.operations import Operation, operation_named
from local.demo import pictures
from local.demo.client import Client, Report, Shot, made
from local.demo.pictures import ADMIRAL, ASTRONAUT
from local.demo.sheet import Cell
from local.stand_ins.faces import Pixels

#: A scene yields what it asks for, and is sent what came of it.
Scene = Generator[Shot, Report, None]

#: What the examples call a picture that only another operation can make.
MASKED = "masked.png"

#: Centre and radii of the patch on the astronaut's chest, with a rim and without, and of a free place on the admiral's
#: jacket, pixels.
PATCH, PATCH_ALONE, SHOULDER = ((171, 385), (44, 46)), ((171, 385), (37, 39)), ((424, 436), (44, 46))

#: Points on the astronaut's hair, suit and face.
HAIR, SUIT, FACE = (225, 60), (260, 410), (225, 130)


def scene_of(name: str, client: Client, *, route: str | None) -> Scene:
    """Return the scene of an operation.

    Args:
        client: uploads pictures.
        route: which way the operation is to go, where there are several; None for the stage's own choice.

    Raises:
        backlot.errors.OperationNotFound: there is none of this name.
    """
    operation = operation_named(name)
    if name in _SCENES:
        return _SCENES[name](client)
    return _example(operation, client, route)


def _example(operation: Operation, client: Client, route: str | None) -> Scene:
    """Ask for the catalogue's example, with pictures that exist."""
    before: list[Cell] = []
    example = operation.example | ({"route": route} if route else {})
    if MASKED in str(example):
        masked = yield from _masked(client)
    else:
        masked = ""

    def existing(value: Any) -> Any:
        if isinstance(value, list):
            return [existing(each) for each in value]
        if isinstance(value, dict):
            if "cleanFace" in value.get("image", {}):
                before.append(_cell("a face", pictures.portrait(ADMIRAL)))
                return pictures.identity_packet(pictures.PORTRAITS / ADMIRAL)
            return {name: existing(each) for name, each in value.items()}
        name = str(value).rsplit("/", 1)[-1]
        if name == MASKED:
            return masked
        if name not in pictures.PLAYED_BY:
            return value
        portrait = pictures.PLAYED_BY[name]
        before.append(_cell(name, pictures.portrait(portrait)))
        return client.upload(portrait, (pictures.PORTRAITS / portrait).read_bytes())

    body = {field: existing(value) for field, value in example.items()}
    yield Shot(
        operation.name,
        body,
        "",
        before,
        makes_masks=operation.name == "body-masks",
        slow="flux" if route == "own" else None,
    )


def _masked(client: Client) -> Generator[Shot, Report, str]:
    """Let another operation black out a face."""
    portrait = pictures.PLAYED_BY["scene.jpg"]
    url = client.upload(portrait, (pictures.PORTRAITS / portrait).read_bytes())
    report = yield Shot("face-mask", {"image_url": url}, "the face that is to be filled")
    return str(made(report.task)[0]["result_url"])


def _masked_edit(client: Client) -> Scene:
    """Take an object out, put it elsewhere, and correct the light of a picture."""
    astronaut, admiral = pictures.portrait(ASTRONAUT), pictures.portrait(ADMIRAL)
    patch, alone = pictures.ellipse(astronaut, *PATCH), pictures.ellipse(astronaut, *PATCH_ALONE)
    shoulder = pictures.ellipse(admiral, *SHOULDER)
    bulb = pictures.tinted(admiral)
    url = {
        name: client.upload(f"{name}.png", pictures.png(pixels))
        for name, pixels in {
            "astronaut": astronaut,
            "patch": patch,
            "alone": alone,
            "admiral": admiral,
            "shoulder": shoulder,
            "bulb": bulb,
        }.items()
    }
    yield Shot(
        "masked-edit",
        {"task": "removal", "image_url": url["astronaut"], "mask_url": url["patch"], "keep_outside": True, "seed": 1},
        "removal: the suit without the patch",
        [_cell("before", astronaut), _cell("mask", patch)],
        name="masked-edit-removal",
        slow="qwen-edit",
    )
    yield Shot(
        "masked-edit",
        {
            "task": "insertion",
            "image_url": url["admiral"],
            "mask_url": url["shoulder"],
            "reference_url": url["astronaut"],
            "reference_mask_url": url["alone"],
            "prompt": "a round mission patch on the jacket",
            "keep_outside": True,
            "seed": 1,
        },
        "insertion: the patch on another jacket",
        [_cell("before", admiral), _cell("mask", shoulder), _cell("reference", astronaut), _cell("its mask", alone)],
        name="masked-edit-insertion",
        slow="qwen-edit",
    )
    yield Shot(
        "masked-edit",
        {"task": "white-balance", "image_url": url["bulb"], "seed": 1},
        "white balance: a bulb's light corrected",
        [_cell("before", bulb)],
        name="masked-edit-white-balance",
        slow="qwen-edit",
    )


def _smart_mask(client: Client) -> Scene:
    """Click twice on the same picture: the second time only the decoder has to work."""
    astronaut = pictures.portrait(ASTRONAUT)
    url = client.upload(ASTRONAUT, (pictures.PORTRAITS / ASTRONAUT).read_bytes())
    for name, title, points, labels in (
        ("person", "a click on the person", [HAIR], [1]),
        ("suit", "the same picture, the suit and not the face", [SUIT, FACE], [1, 0]),
    ):
        yield Shot(
            "smart-mask",
            {"image_url": url, "points": [list(point) for point in points], "labels": labels},
            title,
            [_cell("before, and the clicks", pictures.clicked(astronaut, points, labels))],
            name=f"smart-mask-{name}",
            makes_masks=True,
        )


def _remove_background(client: Client) -> Scene:
    """Cut a person out, and give the mask with her."""
    astronaut = pictures.portrait(ASTRONAUT)
    url = client.upload(ASTRONAUT, (pictures.PORTRAITS / ASTRONAUT).read_bytes())
    body = {"image_url": url, "quality": "best", "output": "both"}
    yield Shot("remove-background", body, "", [_cell("before", astronaut)])


_SCENES: dict[str, Callable[[Client], Scene]] = {
    "masked-edit": _masked_edit,
    "smart-mask": _smart_mask,
    "remove-background": _remove_background,
}


def _cell(name: str, pixels: Pixels) -> Cell:
    return Cell(name, Image.open(io.BytesIO(pictures.png(pixels))))
