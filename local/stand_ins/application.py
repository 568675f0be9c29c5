"""All stand-ins as one web application."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from local.stand_ins.ark import Ark
from local.stand_ins.dashscope import DashScope
from local.stand_ins.fal import Fal
from local.stand_ins.faults import Faults
from local.stand_ins.mask_assets import MaskAssets
from local.stand_ins.pictures import PictureHost
from local.stand_ins.receiver import Receiver
from local.stand_ins.sagemaker import Clients, SageMaker

#: The references of a batch in base64 fit.
MAX_BODY_BYTES = 128_000_000


def application(
    dashscope_key: str,
    ark_key: str,
    fal_key: str,
    mask_secret: str,
    origin: str,
    clients: Callable[[str], Any] | None = None,
) -> web.Application:
    """Put the stand-ins together.

    Args:
        dashscope_key: the only key that DashScope accepts.
        ark_key: the only key that Ark accepts.
        fal_key: the only key that fal accepts.
        mask_secret: the only one that the mask asset service accepts.
        origin: where the application is served; results are downloaded there.
        clients: makes boto3 clients for SageMaker's objects and notifications; by default of the environment's AWS.
    """
    faults = Faults()
    sagemaker = SageMaker(faults, clients or Clients())
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            *faults.routes(),
            *DashScope(dashscope_key, faults).routes(),
            *PictureHost().routes(),
            *Ark(ark_key, origin, faults).routes(),
            *Fal(fal_key, origin, faults).routes(),
            *MaskAssets(mask_secret, faults).routes(),
            *Receiver(faults).routes(),
            *sagemaker.routes(),
            web.get("/_health", _health),
        ]
    )
    app.cleanup_ctx.append(sagemaker.lifetime)
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"engine": "stand-in"})
