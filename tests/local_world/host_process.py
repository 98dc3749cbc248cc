"""Starts the local Functions host and the Service Bus emulator as processes of their own, and talks to them.

Used by the tests of the host; every process ends with its `with` block, and its log is shown if it did not become
ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient

from local.servicebus import connection_string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from azure.servicebus import ServiceBusReceivedMessage

ROOT = Path(__file__).parents[2]
SAMPLE_APP = Path(__file__).parent / "sample_app"
QUEUE = "work"
LOCK_SECONDS = 4
"""The SDK looks once a second whether a lock needs renewal: with less than this it would come too late."""
MAX_DELIVERY_COUNT = 3


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(happened: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Ask every 50 ms until it happened; fails naming what did not."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


def environment(**settings: str) -> dict[str, str]:
    """The settings and nothing else of this process but what Python needs to start."""
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), **settings}


def run_host(app: Path, *arguments: str, settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the host's command to its end."""
    command = [sys.executable, "-m", "local.functions_host", "--app", str(app), *arguments]
    return subprocess.run(  # noqa: S603 - this repository's own command
        command, cwd=ROOT, env=environment(**settings), capture_output=True, text=True, timeout=20, check=False
    )


@contextlib.contextmanager
def process(command: list[str], log: Path, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this Python, killed at the end if it has not ended by itself."""
    with log.open("ab") as stderr:
        running = subprocess.Popen(  # noqa: S603 - this repository's own commands
            [sys.executable, *command], cwd=ROOT, env=environment(**settings), stdout=stderr, stderr=stderr
        )
    with running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()


@dataclass
class Host:
    """A running host of the sample app."""

    process: subprocess.Popen[bytes]
    log: Path
    http: httpx.Client

    def journal(self, function: str) -> list[dict[str, Any]]:
        """What a timer or queue function wrote, oldest first."""
        entries: list[dict[str, Any]] = self.http.get("/v1/journal").json()
        return [entry for entry in entries if entry["function"] == function]

    def work(self, message_id: str) -> list[dict[str, Any]]:
        """The deliveries of one message."""
        return [entry for entry in self.journal("work") if entry["id"] == message_id]


@contextlib.contextmanager
def running_host(folder: Path, settings: Mapping[str, str], *arguments: str) -> Iterator[Host]:
    """The host with the sample app, ready to serve."""
    port, log = free_port(), folder / "host.log"
    command = ["-m", "local.functions_host", "--app", str(SAMPLE_APP), "--port", str(port), *arguments]
    with process(command, log, settings) as running, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:

        def ready() -> bool:
            assert running.poll() is None, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                return http.get("/admin/host/status").status_code == 200
            return False

        wait_until(ready, "the host's start")
        yield Host(running, log, http)


class Broker:
    """The Service Bus emulator with the sample app's queue; can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.connection = connection_string(self.port)
        self._log = folder / "broker.log"
        self._life = contextlib.ExitStack()
        self._loop = asyncio.Runner()

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        command = ["-m", "local.servicebus", "--port", str(self.port), "--queue", QUEUE]
        command += ["--max-delivery-count", str(MAX_DELIVERY_COUNT), "--lock-seconds", str(LOCK_SECONDS)]
        self._process = self._life.enter_context(process(command, self._log, {}))
        wait_until(self._ready, "the broker's start")
        # One client for many tests: the SDK takes a second to close one.
        self._client = ServiceBusClient.from_connection_string(self.connection)
        self._sender = self._client.get_queue_sender(QUEUE)
        self._dead_letters = self._client.get_queue_receiver(
            QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
        )

    def kill(self) -> None:
        """End it as a power cut would; its messages are gone."""
        # The SDK leaks the socket of a connection that broke, so this side closes first.
        self._loop.run(self._client.close())
        self._process.kill()
        self._life.close()

    def stop(self) -> None:
        """Close the client, then end the emulator for good."""
        self._loop.run(self._client.close())
        self._loop.close()
        self._life.close()

    def send(self, *messages: ServiceBusMessage) -> None:
        """Send messages to the sample app's queue, in order."""
        self._loop.run(self._sender.send_messages(list(messages)))

    def take_dead_letter(self) -> ServiceBusReceivedMessage:
        """Take one message out of the sample app's dead-letter queue."""
        return self._loop.run(self._dead_letters.receive_messages(max_message_count=1, max_wait_time=5))[0]

    def _ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
