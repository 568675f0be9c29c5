"""The stand-ins' server: `python -m local.stand_ins --port 8090 --dashscope-key … --ark-key …`."""

import argparse

from aiohttp import web

from local.stand_ins.ark import Ark
from local.stand_ins.dashscope import DashScope
from local.stand_ins.faults import Faults
from local.stand_ins.pictures import PictureHost

#: Two pictures in base64 fit.
MAX_BODY_BYTES = 64_000_000


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Stand-ins of DashScope and Ark; see local/stand_ins.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dashscope-key", required=True)
    parser.add_argument("--ark-key", required=True)
    options = parser.parse_args()
    faults = Faults()
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            *faults.routes(),
            *DashScope(options.dashscope_key, faults).routes(),
            *PictureHost().routes(),
            *Ark(options.ark_key, f"http://localhost:{options.port}", faults).routes(),
            web.get("/_health", _health),
        ]
    )
    web.run_app(app, host="127.0.0.1", port=options.port, print=None)


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"engine": "stand-in"})


if __name__ == "__main__":
    main()
