"""Lines that processes on other hosts print, brought to the one that started them, by TCP."""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

_MAX_BYTES = 1 << 16  # of a line
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LineAddress:
    """Where lines are sent to.

    Attributes:
        host: Name or address.
        port: TCP port.
        secret: Sent first: lines of anybody else are dropped.
    """

    host: str
    port: int
    secret: str


class LineServer:
    """Receives lines from other hosts, inside a `with` block.

    Args:
        host: Name of this host, as others reach it.
        bind: Address to listen at.
        on_line: Called with each line, from any thread, one at a time.

    Attributes:
        address: Where lines are sent to.
    """

    def __init__(self, host: str, bind: str, on_line: Callable[[str], None]) -> None:
        lock = threading.Lock()
        secret = secrets.token_hex(16)

        class Receiver(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if not hmac.compare_digest(self._line() or b"", secret.encode()):
                    return
                while (line := self._line()) is not None:
                    with lock:
                        on_line(line.decode(errors="replace"))

            def _line(self) -> bytes | None:
                with contextlib.suppress(OSError):
                    line = self.rfile.readline(_MAX_BYTES)
                    return line.rstrip(b"\r\n") if line else None
                return None

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server((bind, 0), Receiver)
        self.address = LineAddress(host=host, port=self._server.server_address[1], secret=secret)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class LineSender:
    """Sends lines, inside a `with` block. Where nobody receives them, they are dropped.

    Args:
        address: Where to.
    """

    def __init__(self, address: LineAddress) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        where = (self._address.host, self._address.port)
        with contextlib.suppress(OSError):  # a firewall: the executor's log has the lines
            self._socket = socket.create_connection(where, _CONNECT_SECONDS)
        self.send(self._address.secret)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def send(self, line: str) -> bool:
        """Sends a line; returns whether it could be sent."""
        if self._socket is not None:
            try:
                self._socket.sendall(line.encode(errors="replace") + b"\n")
            except OSError:
                self._socket.close()
                self._socket = None
        return self._socket is not None
