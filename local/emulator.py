"""Starts MiniStack, strict: with TLS, and with every role's permissions enforced."""

import ssl
import time
from functools import cache
from typing import Any

import boto3
import httpx
from botocore.config import Config

from local.certificates import make_certificate
from local.place import ACCESS_KEY, REGION, ROOT, SECRET_KEY, Place
from local.processes import Background, stamp_of

#: MiniStack starts in about two seconds.
START_S = 60.0


def emulator(place: Place) -> Background:
    """Return the emulator's process."""
    return Background(place, "ministack")


def is_current(place: Place) -> bool:
    """Tell whether the emulator runs, with the corrections of today."""
    return emulator(place).is_made_of(_stamp())


def start_emulator(place: Place, *, corrections: str = "all", faults: str = "none") -> None:
    """Start the emulator unless it runs as it should, and wait until it answers.

    Args:
        place: where.
        corrections: names with commas between, `all`, or `none` for MiniStack as it is.
        faults: names with commas between, `all` or `none`.

    Raises:
        local.processes.NotStarted: it ended, or did not answer in time.
    """
    process, stamp = emulator(place), _stamp()
    if process.is_made_of(stamp):
        return
    process.stop()
    temporary = place.run / "tmp"
    temporary.mkdir(exist_ok=True)
    variables = {
        **make_certificate(place),
        **place.client_environment,
        "USE_SSL": "1",
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(place.ports.emulator),
        "TMPDIR": str(temporary),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }
    python = ROOT / ".build" / "emulator" / "bin" / "python"
    launch = str(ROOT / "local" / "ministack" / "launch.py")
    process.start([str(python), launch, "--corrections", corrections, "--faults", faults], variables, stamp)
    _wait(place, process)


def _stamp() -> str:
    return stamp_of("local/ministack", "local/emulator.py", "requirements/emulator.txt")


def _wait(place: Place, process: Background) -> None:
    deadline = time.monotonic() + START_S
    context = ssl.create_default_context(cafile=str(place.authority))
    with httpx.Client(verify=context, trust_env=False) as client:
        while time.monotonic() < deadline:
            if not process.is_running:
                raise process.failure("ended while it started")
            try:
                if client.get(f"{place.emulator_url}/_ministack/health", timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    raise process.failure(f"did not answer within {START_S:.0f} s")


@cache
def client(place: Place, service: str) -> Any:
    """Return a boto3 client of the emulator's root user."""
    session = boto3.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION)
    return session.client(
        service,
        endpoint_url=place.emulator_url,
        verify=str(place.authority),
        config=Config(
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path"},
            inject_host_prefix=False,
            retries={"max_attempts": 3, "mode": "standard"},
            max_pool_connections=50,
        ),
    )
