"""A place: where one local deployment keeps its files, and which ports are its own.

A checkout has the place `.local` for people and `.local/test` for its stack tests; several checkouts and both places of
each run side by side.
"""

import json
import platform
import socket
import sys
from collections.abc import Set
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self
from zlib import crc32

ROOT = Path(__file__).resolve().parent.parent

#: Ports are looked for from here upwards, at a start that follows from the place's path. Linux gives those from 32768
#: on to connections that begin here.
FIRST_PORT, PORTS = 20_000, 12_000

ACCOUNT, REGION = "000000000000", "us-east-1"

#: The emulator's root user; whoever is on this machine may be root in a cloud that is not real.
ACCESS_KEY, SECRET_KEY = "backlot-local", "backlot-local-secret"


@dataclass(frozen=True)
class Ports:
    """The place's ports on loopback."""

    emulator: int
    front_door: int
    stand_ins: int
    schp: int
    comfyui: int
    gpu_worker: int
    segment: int
    qwen_edit: int
    flux: int

    def of_model(self, name: str) -> int:
        """Return the port of a model's server."""
        return int(asdict(self)[name.replace("-", "_")])


@dataclass(frozen=True)
class Place:
    """A folder and its ports.

    Args:
        folder: everything that a run writes lies below it.
        ports: its ports.
    """

    folder: Path
    ports: Ports

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a place; its ports are chosen when it is new, or when somebody else has taken one meanwhile."""
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / "ports.json"
        names = [field.name for field in fields(Ports)]
        # A place of an older checkout has some others; what runs in it keeps those that are still asked for.
        written = json.loads(known.read_text()) if known.exists() else {}
        kept = {name: int(port) for name, port in written.items() if name in names}
        if not any((folder / "run").glob("*.pid")) and not all(_is_free(port) for port in kept.values()):
            kept = {}
        missing = [name for name in names if name not in kept]
        found = free_ports(str(folder), len(missing), without=set(kept.values()))
        ports = Ports(**kept, **dict(zip(missing, found, strict=True)))
        known.write_text(json.dumps(asdict(ports)))
        return cls(folder, ports)

    def inner(self) -> "list[Place]":
        """Return the places below this one: those of tests and measurements."""
        return [Place.open(ports.parent) for ports in sorted(self.folder.glob("*/ports.json"))]

    @property
    def run(self) -> Path:
        """What belongs to running processes, gone when they are stopped."""
        return self._made("run")

    @property
    def logs(self) -> Path:
        """Logs of the processes and of the deployment."""
        return self._made("logs")

    @property
    def assembly(self) -> Path:
        """The synthesised cloud assembly."""
        return self.folder / "cdk.out"

    @property
    def emulator_url(self) -> str:
        """Where AWS' APIs answer."""
        return f"https://localhost:{self.ports.emulator}"

    @property
    def front_door(self) -> str:
        """The one origin for clients and pages."""
        return f"http://localhost:{self.ports.front_door}"

    @property
    def stand_ins(self) -> str:
        """Where the providers' stand-ins answer."""
        return f"http://localhost:{self.ports.stand_ins}"

    def model_server(self, name: str) -> str:
        """Return where a model's server answers."""
        return f"http://localhost:{self.ports.of_model(name)}"

    @property
    def comfyui(self) -> str:
        """Where ComfyUI's stand-in answers."""
        return f"http://127.0.0.1:{self.ports.comfyui}"

    @property
    def gpu_worker(self) -> str:
        """Where the worker of the GPU lane says how it is."""
        return f"http://127.0.0.1:{self.ports.gpu_worker}"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that the emulator's clients trust."""
        return self.run / "authority.pem"

    @property
    def client_environment(self) -> dict[str, str]:
        """Variables with which AWS' tools reach the emulator and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.emulator_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CA_BUNDLE": str(self.authority),
            "NODE_EXTRA_CA_CERTS": str(self.authority),
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }

    @cached_property
    def python(self) -> str:
        """Minor version of the interpreter, which also runs the functions."""
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    @cached_property
    def architecture(self) -> str:
        """This machine's processor, as Lambda calls it."""
        return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def free_ports(seed: str, count: int, *, without: Set[int] = frozenset()) -> list[int]:
    """Return ports of loopback that nobody listens on, the same ones for a seed as long as they are free.

    Args:
        seed: where the search begins follows from it.
        without: ports that are not to be among them.
    """
    start = crc32(seed.encode()) % PORTS
    ports = (FIRST_PORT + (start + offset) % PORTS for offset in range(PORTS))
    found = list(islice((port for port in ports if port not in without and _is_free(port)), count))
    if len(found) == count:
        return found
    raise SystemExit(f"no {count} free ports between {FIRST_PORT} and {FIRST_PORT + PORTS}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
