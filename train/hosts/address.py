"""The address at which the first process of a team brings all together."""

from __future__ import annotations

import errno
import socket

from train.errors import TryAgainError


def require_free(address: str) -> None:
    """Raises `TryAgainError` if the port is taken on this host, where JAX may crash.

    Args:
        address: `HOST:PORT`.
    """
    port = int(address.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of one that has ended
        try:
            listener.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise TryAgainError(
                    f"port {port} of this host is taken, and all processes are to meet at "
                    f"{address}. If it is no training that is just ending, choose another port: "
                    "JAX_COORDINATOR_ADDRESS=HOST:PORT for all."
                ) from error


def unresolved(address: str) -> str:
    """Returns a sentence if an address's host has no name here; else nothing."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return f" The name {host} is not known here."
    return ""
