"""`python -m local demo|up|stop`: local mode from the command line; see the Makefile."""

import argparse
import json
import sys
import time
from pathlib import Path

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from backlot.errors import OperationNotFound
from local.demo.bill import describe
from local.demo.client import Client, DemoFailed, made
from local.demo.run import run
from local.deployment import DeploymentFailed, api_key, write_json
from local.environment import comfyui_url
from local.models import real_models
from local.place import ROOT, Place
from local.processes import NotStarted
from local.stack import down, real_providers, up

_FAILURES = (DemoFailed, DeploymentFailed, NotStarted, OperationNotFound, httpx.HTTPError, BotoCoreError, ClientError)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Backlot on this machine.")
    parser.add_argument("--place", type=Path, default=ROOT / ".local", help="folder of the deployment")
    verbs = parser.add_subparsers(dest="verb", required=True)
    demo = verbs.add_parser("demo", help="run one task and show its picture")
    demo.add_argument("--operation", default="full-face-swap")
    demo.add_argument("--route", help="of identity-portrait: fal or own; the stage's own choice if it is left out")
    verbs.add_parser("up", help="start everything and deploy")
    verbs.add_parser("stop", help="stop everything")
    options = parser.parse_args()
    place = Place.open(options.place.resolve())
    if options.verb == "stop":
        for each in (place, *place.inner()):
            down(each)
        _say(f"stopped; results and logs are in {options.place}")
        return
    try:
        if options.verb == "demo":
            _demo(place, options.operation, options.route or None)
        else:
            outputs = up(place, _say)
            _how_to_go_on(place, api_key(place, outputs))
    except _FAILURES as failure:
        _say(f"failed: {failure}")
        _say(f"logs: {place.logs}")
        sys.exit(1)


def _demo(place: Place, operation: str, route: str | None) -> None:
    began = time.monotonic()
    outputs = up(place, _say)
    _say(f"everything stands after {time.monotonic() - began:.1f} s")
    client = Client(place, outputs, _say)
    reports, sheet = run(client, operation, route=route)
    for report in reports:
        for line in describe(report):
            _say(line)
    known = place.folder / "demo.json"
    operations = json.loads(known.read_text())["operations"] if known.exists() else {}
    write_json(known, {"operations": operations | {operation: reports[-1].as_json()}})
    _say("")
    for report in reports:
        for saved, image in zip(report.saved, made(report.task), strict=True):
            _say(f"  result   {saved}")
            _say(f"  on CDN   {image['result_url']}")
    _say(f"  to see   {sheet}")
    real = [*real_providers(), *real_models(), *(["ComfyUI"] if comfyui_url() else [])]
    _say(f"  engine   {'stand-ins, see local/stand_ins' if not real else 'real: ' + ', '.join(real)}")
    _how_to_go_on(place, client.key)


def _how_to_go_on(place: Place, key: str) -> None:
    _say("")
    _say(f"  API      {place.front_door}   (docs: {place.front_door}/docs)")
    _say(f"  key      {key}")
    _say(f"  try      curl -H 'x-api-key: {key}' {place.front_door}/api/v1/operations")
    _say("  stop     make stop")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
