"""The stand-ins' server: `python -m local.stand_ins --port 8090 --<provider>-key …`."""

import argparse

from aiohttp import web

from local.stand_ins.application import application


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Stand-ins of DashScope, Ark and fal; see local/stand_ins.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dashscope-key", required=True)
    parser.add_argument("--ark-key", required=True)
    parser.add_argument("--fal-key", required=True)
    parser.add_argument("--mask-assets-key", required=True)
    options = parser.parse_args()
    keys = (options.dashscope_key, options.ark_key, options.fal_key, options.mask_assets_key)
    app = application(*keys, f"http://localhost:{options.port}")
    web.run_app(app, host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
