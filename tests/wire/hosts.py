"""Hosts that play a script: real sockets that send what they are told, as slowly and as wrongly as they are told."""

import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

#: Answers of a script that never ends by itself stop after this, seconds.
PATIENCE_S = 20.0


class Peer:
    """One connection, as a script sees it.

    Args:
        sock: of the connection, TLS done.
        over: set when the host is closed.
    """

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self._sock = sock
        self._over = over
        self.head = b""
        self.rest = b""

    def read_head(self) -> None:
        while b"\r\n\r\n" not in self.rest:
            data = self._sock.recv(65536)
            if not data:
                raise ConnectionResetError
            self.rest += data
        self.head, _, self.rest = self.rest.partition(b"\r\n\r\n")

    def read_body(self) -> bytes:
        """Read the whole request, as its Content-Length says."""
        length = int(re.search(rb"(?i)content-length: (\d+)", self.head)[1])
        body = bytearray(self.rest)
        while len(body) < length:
            data = self._sock.recv(1_000_000)
            if not data:
                raise ConnectionResetError
            body += data
        return bytes(body)

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def send_forever(self, data: bytes, every_s: float = 0.0) -> None:
        """Send the same again and again, until the other side goes."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and not self._over.wait(every_s):
            self._sock.sendall(data)

    def drip(self, data: bytes, every_s: float) -> None:
        for index in range(len(data)):
            if self._over.wait(every_s):
                return
            self._sock.sendall(data[index : index + 1])

    def fall_silent(self) -> None:
        self._over.wait(PATIENCE_S)

    def reset(self) -> None:
        """Break the connection so that the other side's next read or write fails."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


Script = Callable[[Peer], None]


class Host:
    """A server that plays one script on every connection.

    Args:
        script: is given the connection after the request's head was read.
        address: to listen on.
        port: to listen on; 0 for any.
        tls: the server's certificate; None for plain text.
        reads_head: False lets the script begin before anything was read.
    """

    def __init__(
        self,
        script: Script,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        reads_head: bool = True,
    ) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._script = script
        self._tls = tls
        self._reads_head = reads_head
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        #: How many connections were taken, and the heads of the requests on them.
        self.connections = 0
        self.heads: list[bytes] = []

    @property
    def paths(self) -> list[str]:
        return [head.split(b" ", 2)[1].decode() for head in self.heads]

    def close(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        # What breaks here broke because the client went, which is for the tests to judge.
        sock.settimeout(PATIENCE_S)
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            peer = Peer(sock, self._over)
            if self._reads_head:
                peer.read_head()
                self.heads.append(peer.head)
            self._script(peer)
        except OSError:
            pass
        finally:
            sock.close()


def answer(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """Write an answer; underscores in names of headers become hyphens, Content-Length is added if not given."""
    named = {"Content_Length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status} Words", *lines, "", ""]).encode() + body


def says(data: bytes) -> Script:
    """Return the script that sends this and closes."""
    return lambda peer: peer.send(data)


def goes_to(*locations: str, status: int = 302) -> Script:
    """Return the script that redirects each request in turn, the last one for ever."""
    waiting = list(locations)

    def redirect(peer: Peer) -> None:
        location = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        peer.send(answer(status=status, Location=location))

    return redirect
