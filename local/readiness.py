"""Questions that tell whether a process of the local stack is ready; each is asked again until it says yes."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from local.ports import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

Check = Callable[[], bool]

_SECONDS = 2.0


def accepts(*ports: int) -> Check:
    """Ready when every port of the loopback interface takes a connection."""

    def check() -> bool:
        try:
            for port in ports:
                socket.create_connection((LOOPBACK, port), timeout=_SECONDS).close()
        except OSError:
            return False
        return True

    return check


def answers(port: int, path: str) -> Check:
    """Ready when a GET over http answers 200."""

    def check() -> bool:
        return _is_ok(http.client.HTTPConnection(LOOPBACK, port, timeout=_SECONDS), path)

    return check


def answers_over_tls(port: int, path: str, ca_file: Path) -> Check:
    """Ready when a GET over https answers 200 and its certificate is that of the CA, made by the process itself."""

    def check() -> bool:
        if not ca_file.exists():
            return False
        try:
            context = ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError):  # the file is being written
            return False
        return _is_ok(http.client.HTTPSConnection("localhost", port, timeout=_SECONDS, context=context), path)

    return check


def _is_ok(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
