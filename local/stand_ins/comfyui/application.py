"""The stand-in of ComfyUI as one web application.

Faults, `PUT /_faults/<name>`:

    comfyui          submissions (`POST /prompt`): `status`, `reset`, `none` with `wait_s`, `death` (the process ends);
                     `lost-answer` takes the prompt and drops the connection
    comfyui-<route>  all other calls, by the first part of their path: `comfyui-upload`, `comfyui-view`,
                     `comfyui-history`, `comfyui-ws` …: `status`, `reset`, `truncated`, `none` with `wait_s`, `death`
    comfyui-run      prompts as they run, in a sampler after its `step`, or in the `node` with this id or class:
                     `oom`, `exception` (`code` is its type), `hang` for `wait_s`, or until `step_s` is changed,
                     `death`, `socket-cut`, `restart` (all that is in memory is lost, the sockets break); at its end:
                     `late-history` by `wait_s`, `no-end` (no `executing` without a node)
"""

import os
import platform
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from local.stand_ins.comfyui import schemas
from local.stand_ins.comfyui.execution import Execution
from local.stand_ins.comfyui.files import Folders
from local.stand_ins.comfyui.nodes import CLASSES
from local.stand_ins.comfyui.pictures import Pictures
from local.stand_ins.comfyui.prompts import FAULT, Prompts
from local.stand_ins.comfyui.records import Records, Settings
from local.stand_ins.comfyui.sockets import FEATURES
from local.stand_ins.comfyui.validation import Validator
from local.stand_ins.faults import Faults

#: Generations of the protocol, and the version that each tells.
VERSIONS = {"0.3": "0.3.64+stand-in", "0.33": "0.33.0+stand-in"}

_MEMORY_BYTES = 24 * 2**30


def application(folder: Path, settings: Settings, *, protocol: str = "0.3") -> web.Application:
    """Put the stand-in together.

    Args:
        folder: for uploads and results.
        settings: how long things take.
        protocol: a key of `VERSIONS`.
    """
    is_new = protocol == "0.33"
    faults, records, folders = Faults(), Records(settings), Folders(folder)
    classes = schemas.load(CLASSES, is_new=is_new)
    execution = Execution(classes, folders, faults, records, is_new=is_new)
    validator = Validator(classes, folders, is_new=is_new)
    about = _About(classes, folders, VERSIONS[protocol])
    routes = [
        *Prompts(execution, validator, records, is_new=is_new).routes(),
        *Pictures(folders, records).routes(),
        *about.routes(),
        web.get("/ws", execution.sockets.connect),
    ]
    app = web.Application(client_max_size=FEATURES["max_upload_size"], middlewares=[_same_origin, _faulty(faults)])
    for route in routes:
        # Jobs have only the address with the prefix.
        if not route.path.startswith("/jobs"):
            app.router.add_route(route.method, route.path, route.handler)
        app.router.add_route(route.method, f"/api{route.path}", route.handler)
    app.add_routes([*faults.routes(), *records.routes()])
    # ComfyUI serves its pages here, so that to post to an unknown address is a wrong method.
    app.router.add_get("/{page:.*}", _no_page)
    app.cleanup_ctx.append(execution.sockets.lifetime)
    app.cleanup_ctx.append(execution.lifetime)
    return app


class _About:
    """What the server tells of itself."""

    def __init__(self, classes: dict[str, schemas.NodeClass], folders: Folders, version: str) -> None:
        self._classes = classes
        self._folders = folders
        self._version = version

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/object_info", self._all_classes),
            web.get("/object_info/{name}", self._one_class),
            web.get("/system_stats", self._system),
            web.get("/features", self._features),
            web.get("/models", self._model_folders),
            web.get("/models/{folder}", self._models),
        ]

    async def _all_classes(self, _: web.Request) -> web.Response:
        uploads = self._folders.inputs()
        return web.json_response({name: schemas.shown(name, each, uploads) for name, each in self._classes.items()})

    async def _one_class(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = self._classes.get(name)
        return web.json_response({name: schemas.shown(name, found, self._folders.inputs())} if found else {})

    async def _system(self, _: web.Request) -> web.Response:
        system = {
            "os": os.name,
            "ram_total": _MEMORY_BYTES,
            "ram_free": _MEMORY_BYTES // 2,
            "comfyui_version": self._version,
            "python_version": sys.version,
            "pytorch_version": "none (stand-in)",
            "embedded_python": False,
            "argv": sys.argv,
        }
        device = {
            "name": f"stand-in on {platform.machine()}",
            "type": "cpu",
            "index": None,
            "vram_total": _MEMORY_BYTES,
            "vram_free": _MEMORY_BYTES // 2,
            "torch_vram_total": _MEMORY_BYTES,
            "torch_vram_free": _MEMORY_BYTES // 2,
        }
        return web.json_response({"system": system, "devices": [device]})

    async def _features(self, _: web.Request) -> web.Response:
        return web.json_response(FEATURES)

    async def _model_folders(self, _: web.Request) -> web.Response:
        return web.json_response(list(schemas.MODELS))

    async def _models(self, request: web.Request) -> web.Response:
        found = schemas.MODELS.get(request.match_info["folder"])
        return web.Response(status=404) if found is None else web.json_response(found)


async def _no_page(_: web.Request) -> web.Response:
    return web.Response(status=404)


@web.middleware
async def _same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep pages of other origins out of a server on loopback."""
    origin = request.headers.get("Origin")
    if origin and origin.partition("://")[2] != request.headers.get("Host"):
        return web.Response(status=403)
    return await handler(request)


def _faulty(faults: Faults) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        first = request.path.removeprefix("/api").split("/")[1]
        if first.startswith("_"):
            return await handler(request)
        is_submission = request.method == "POST" and first == "prompt"
        fault = await faults.next("comfyui" if is_submission else f"comfyui-{first}")
        if fault is None:
            return await handler(request)
        if fault.kind == "death":
            os._exit(1)
        answer = await faults.answer(request, fault)
        if answer is not None:
            return answer
        request[FAULT] = fault
        return await handler(request)

    return middleware
