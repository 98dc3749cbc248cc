"""Starts a simulator as a process of its own on a free port, as the stack does, and ends it again."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SECONDS_TO_END = 5


class Simulator:
    """A running simulator: its URL, a client, and its control paths."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=5)

    def get(self, control_path: str, /, **parameters: Any) -> Any:
        """Return what a control path answers."""
        answer = self.http.get(f"/_control/{control_path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """Send a control request that must succeed."""
        answer = self.http.post(f"/_control/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def reset(self) -> None:
        """Return faults, log and switches to what they were at the start."""
        self.http.delete("/_control/faults")
        self.http.delete("/_control/requests")
        self.post("switches", {one["name"]: one["default"] for one in self.get("switches")["switches"]})

    def end(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS_TO_END)


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Simulator]:
    """Run a simulator's module on a free port until the block ends."""
    command = [sys.executable, "-m", module, "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own module
        try:
            assert process.stdout is not None
            simulator = Simulator(process, process.stdout.readline().split()[-1])
            with simulator.http:
                yield simulator
        finally:
            if process.poll() is None:
                process.kill()
