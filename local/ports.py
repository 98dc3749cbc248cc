"""Free TCP ports for the processes of the local stack.

Ports come from below the range from which the kernel takes the source ports of outgoing connections: a port that is
given back while its process is restarted would else sooner or later belong to somebody's connection.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST, LAST = 18_000, 31_999
_ATTEMPTS = 500


class NoFreePortError(RuntimeError):
    """The wanted port is taken, or none of the range is free."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, each once. All are tried together, so that none is handed out twice.

    Raises:
        NoFreePortError: too few are free.
    """
    # Several stacks start at the same moment (one per test worker): an order of their own keeps them apart
    candidates = random.Random().sample(range(FIRST, LAST + 1), _ATTEMPTS)  # noqa: S311  # not a secret
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in candidates:
            if len(found) == count:
                break
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):
                listener.bind((LOOPBACK, port))
                if _reserved(port):
                    found.append(port)
    if len(found) < count:
        raise NoFreePortError(f"only {len(found)} of {count} ports are free between {FIRST} and {LAST}")
    return found


def _reserved(port: int) -> bool:
    """Claim a port against other stacks of this machine until this process ends; its own process binds it later."""
    folder = Path(tempfile.gettempdir()) / "csp-functions-ports"
    folder.mkdir(exist_ok=True)
    claim = os.open(folder / str(port), os.O_CREAT | os.O_WRONLY)  # kept open: the lock is the claim
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(claim)
        return False
    return True


def require_free(port: int) -> int:
    """The port itself, once it is certain that nobody listens on it.

    Raises:
        NoFreePortError: it is taken, or not ours to use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as taken:
            what = "is taken" if taken.errno == errno.EADDRINUSE else f"cannot be used ({taken.strerror})"
            raise NoFreePortError(f"port {port} of {LOOPBACK} {what}; choose another one with --port") from taken
    return port
