"""Background processes of a place: started with a pid file and a log, stopped with everything that they started."""

import hashlib
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from local.environment import inherited
from local.place import ROOT, Place

#: After SIGTERM, a process has this long before SIGKILL, seconds.
GRACE_S = 8.0


class NotStarted(Exception):
    """A process ended, or did not answer in time; the message says where its log is."""


@dataclass(frozen=True)
class Background:
    """One background process.

    Args:
        place: whose it is.
        name: of its pid file and its log.
    """

    place: Place
    name: str

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.place.logs / f"{self.name}.log"

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process() is not None

    def is_made_of(self, stamp: str) -> bool:
        """Tell whether it is running and was started with this stamp."""
        return self.is_running and self._pid_file.read_text().endswith(f" {stamp}")

    def start(self, command: list[str], environment: dict[str, str], stamp: str) -> None:
        """Start it as the leader of a session of its own.

        Args:
            command: program and arguments.
            environment: all of its variables; nothing is inherited but PATH, HOME and LANG.
            stamp: names what it is made of, see `is_made_of`.
        """
        with self.log.open("wb") as log:
            started = subprocess.Popen(
                command,
                env=inherited() | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        born = psutil.Process(started.pid).create_time()
        self._pid_file.write_text(f"{started.pid} {born} {stamp}")

    def stop(self) -> None:
        """Ask it and everything in its session to end, then make it."""
        leader = self._process()
        if leader is not None:
            members = _session(leader.pid)
            for process in members:
                _quietly(process.terminate)
            _, stubborn = psutil.wait_procs(members, timeout=GRACE_S)
            for process in {*stubborn, *_session(leader.pid)}:
                _quietly(process.kill)
            psutil.wait_procs(stubborn, timeout=GRACE_S)
        self._pid_file.unlink(missing_ok=True)

    def await_answer(self, url: str, limit_s: float, needs: str = "") -> None:
        """Wait until it answers with 200.

        Args:
            url: of itself.
            limit_s: how long to wait, seconds.
            needs: what it cannot answer without, for the error.

        Raises:
            NotStarted: it ended, or did not answer so in time.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if not self.is_running:
                raise self.failure("ended while it started")
            with suppress(httpx.TransportError):
                if httpx.get(url, timeout=10, trust_env=False).status_code == httpx.codes.OK:
                    return
            time.sleep(0.1)
        raise self.failure(f"did not answer within {limit_s:.0f} s" + (f": {needs}" if needs else ""))

    def failure(self, what: str) -> NotStarted:
        """Return an error that says what happened and quotes the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return NotStarted(f"{self.name} {what}; {self.log} ends with: {' / '.join(lines[-3:]) or 'nothing'}")

    @property
    def _pid_file(self) -> Path:
        return self.place.run / f"{self.name}.pid"

    def _process(self) -> psutil.Process | None:
        """Return the process that the pid file means, not another one that has got its number since."""
        try:
            pid, born, *_ = self._pid_file.read_text().split()
            process = psutil.Process(int(pid))
            ours = abs(process.create_time() - float(born)) < 0.1 and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        return process if ours else None


def stamp_of(*sources: str) -> str:
    """Return a digest of files and folders of the repository, to tell whether they have changed.

    Args:
        sources: paths below the repository's root.
    """
    digest = hashlib.sha256()
    for source in sources:
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _session(leader: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


def _quietly(call: object) -> None:
    try:
        call()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return
