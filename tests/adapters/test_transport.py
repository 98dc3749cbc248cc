"""The transport: what can have reached the server, what is repeated, how long it waits, and what it never logs."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.domain.errors import Malformed, OutcomeUnknown, RetryLater
from shared.transport import NotSent, Reply, Request, Retries, Transport
from tests.adapters.conftest import HANG, NOW, RESET, Answer, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Sleeps:
    """Records the pauses and does not wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def retries(sleeps: Sleeps, **changes: object) -> Retries:
    defaults: dict[str, object] = {
        "attempts": 3,
        "statuses": frozenset({429, 500, 503}),
        "jitter": lambda: 0.0,
        "sleep": sleeps,
        "base_seconds": 1.0,
    }
    return Retries(**{**defaults, **changes})  # type: ignore[arg-type]  # a table of keyword arguments


def get(policy: Retries | None = None, *, within: float = 10, timeout: float = 5) -> Request:
    return Request("GET", "/things", write=False, within=within, timeout=timeout, retries=policy or Retries())


def post(*, within: float = 10, timeout: float = 5) -> Request:
    everything = Retries(attempts=5, statuses=frozenset({429, 500, 503}))
    return Request("POST", "/things", write=True, within=within, timeout=timeout, body={"a": 1}, retries=everything)


@pytest.fixture
async def transport(server: Server) -> AsyncIterator[Transport]:
    opened = Transport(server.url, now=lambda: NOW)
    yield opened
    await opened.aclose()


async def test_an_answer_carries_status_lower_case_headers_body_and_the_servers_clock(
    server: Server, transport: Transport
) -> None:
    server.script = [Answer(418, {"x": [1]}, {"Date": "Wed, 06 May 2026 07:11:02 GMT", "X-Thing": "y"})]
    reply = await transport.send(get())
    assert (reply.status, reply.json(), reply.headers["x-thing"]) == (418, {"x": [1]}, "y")
    assert reply.date is not None
    assert reply.date.isoformat() == "2026-05-06T07:11:02+00:00"


@pytest.mark.parametrize("request_", [get(), post()], ids=["read", "write"])
async def test_no_connection_means_not_sent(unused_url: str, request_: Request) -> None:
    transport = Transport(unused_url, now=lambda: NOW)
    with pytest.raises(NotSent):
        await transport.send(request_)
    await transport.aclose()


@pytest.mark.parametrize("fault", [HANG, RESET], ids=["timeout", "reset"])
async def test_a_write_without_an_answer_is_unknown_and_not_repeated(
    server: Server, transport: Transport, fault: Answer
) -> None:
    server.script = [fault]
    with pytest.raises(OutcomeUnknown):
        await transport.send(post(timeout=0.4))
    assert len(server.received) == 1


async def test_a_write_is_not_repeated_on_any_status(server: Server, transport: Transport) -> None:
    server.script = [Answer(503)]
    assert (await transport.send(post())).status == 503
    assert len(server.received) == 1


async def test_a_read_is_repeated_after_timeout_reset_and_listed_status(server: Server, transport: Transport) -> None:
    sleeps = Sleeps()
    server.script = [HANG, RESET, Answer(503), Answer(200)]
    reply = await transport.send(get(retries(sleeps, attempts=4), timeout=0.4))
    assert reply.status == 200
    assert sleeps.seconds == [1.0, 2.0, 4.0]


async def test_a_read_that_never_gets_an_answer_is_for_later(server: Server, transport: Transport) -> None:
    server.script = [RESET, RESET, RESET]
    with pytest.raises(RetryLater) as caught:
        await transport.send(get(retries(Sleeps())))
    assert not isinstance(caught.value, NotSent)
    assert len(server.received) == 3


async def test_the_last_attempts_answer_is_returned(server: Server, transport: Transport) -> None:
    server.script = [Answer(500), Answer(500), Answer(500, {"last": True})]
    assert (await transport.send(get(retries(Sleeps())))).json() == {"last": True}


async def test_a_final_answer_is_not_repeated(server: Server, transport: Transport) -> None:
    server.script = [Answer(500, {"errors": ["no"]})]
    reply = await transport.send(get(retries(Sleeps(), final=lambda answer: b"errors" in answer.body)))
    assert reply.status == 500
    assert len(server.received) == 1


async def test_retry_after_up_to_the_cap_is_waited_for(server: Server, transport: Transport) -> None:
    sleeps = Sleeps()
    date = {"Date": "Wed, 06 May 2026 07:11:00 GMT", "Retry-After": "Wed, 06 May 2026 07:11:04 GMT"}
    server.script = [Answer(429, headers={"Retry-After": "3"}), Answer(503, headers=date), Answer()]
    assert (await transport.send(get(retries(sleeps)))).status == 200
    assert sleeps.seconds == [3.0, 4.0]


async def test_retry_after_beyond_the_cap_ends_the_call_at_once(server: Server, transport: Transport) -> None:
    sleeps = Sleeps()
    server.script = [Answer(429, headers={"Retry-After": "57"})]
    with pytest.raises(RetryLater) as caught:
        await transport.send(get(retries(sleeps)))
    assert caught.value.after == timedelta(seconds=57)
    assert sleeps.seconds == []


async def test_no_pause_begins_that_the_time_of_the_call_does_not_allow(server: Server, transport: Transport) -> None:
    sleeps = Sleeps()
    server.script = [Answer(503)]
    assert (await transport.send(get(retries(sleeps, base_seconds=3.0), within=2))).status == 503
    assert sleeps.seconds == []


async def test_nothing_is_sent_after_the_time_of_the_call(server: Server, transport: Transport) -> None:
    with pytest.raises(NotSent):
        await transport.send(post(within=0))
    assert server.received == []


async def test_the_time_of_the_call_ends_a_hanging_attempt(server: Server, transport: Transport) -> None:
    server.script = [HANG]
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await transport.send(post(within=0.4, timeout=30))
    assert time.monotonic() - started < 2


async def test_a_slow_body_counts_as_no_answer(transport: Transport, server: Server) -> None:
    server.script = [Answer(200, b"{}", {"Content-Length": "100"})]
    with pytest.raises(OutcomeUnknown):
        await transport.send(post(timeout=0.4))


async def test_a_server_that_accepts_no_connection_in_time_has_seen_nothing() -> None:
    """The listening queue is full: the handshake never ends, so the attempt's own time runs out while connecting."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(address)
        transport = Transport(f"http://127.0.0.1:{address[1]}", now=lambda: NOW, connect_seconds=30)
        try:
            with pytest.raises(NotSent):
                await transport.send(post(within=0.3))
        finally:
            await transport.aclose()
            for filler in fillers:
                filler.close()


async def test_calls_from_outside_can_be_cancelled(server: Server, transport: Transport) -> None:
    server.script = [HANG]
    task = asyncio.create_task(transport.send(post()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_neither_headers_nor_query_nor_body_are_logged(
    server: Server, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = {
        "Authorization": "s3cret-a",
        "Secret": "s3cret-b",
        "ApiIntegrationCode": "s3cret-c",
        "UserName": "s3cret-d",
    }
    request = Request(
        "POST", "/x", write=True, within=5, timeout=5, headers=secrets, query={"user": "s3cret-e"}, body="s3cret-f"
    )
    server.script = [Answer(200, {"token": "s3cret-g"}), RESET]
    with caplog.at_level(logging.DEBUG):
        reply = await transport.send(request)
        with pytest.raises(OutcomeUnknown) as caught:
            await transport.send(request)
    assert "s3cret" not in caplog.text + repr(request) + repr(reply) + repr(caught.value)
    lines = [record for record in caplog.records if record.name == "shared.transport"]
    assert [(line.__dict__["method"], line.__dict__["path"], line.__dict__["status"]) for line in lines] == [
        ("POST", "/x", 200),
        ("POST", "/x", None),
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7),
        ("0", 0),
        ("Wed, 06 May 2026 12:00:30 GMT", 30),
        ("Wed, 06 May 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("99999999999999999999", 30 * 86_400),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, expected: int | None) -> None:
    reply = Reply(429, {"retry-after": header})
    assert reply.retry_after(NOW) == (None if expected is None else timedelta(seconds=expected))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe"])
def test_a_body_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        Reply(200, {}, body).json()


def test_backoff_doubles_and_is_shortened_at_random_by_at_most_half() -> None:
    assert [Retries(base_seconds=1, jitter=lambda: 0.0).backoff(n) for n in (1, 2, 3)] == [1, 2, 4]
    assert [Retries(base_seconds=1, jitter=lambda: 1.0).backoff(n) for n in (1, 2, 3)] == [0.5, 1, 2]


async def test_a_ca_file_is_trusted_in_addition_and_only_if_given(certificate: Path) -> None:
    scripted = Server()
    scripted.reply = lambda _request: Answer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{listening.sockets[0].getsockname()[1]}"
    trusting = Transport(url, now=lambda: NOW, ca_file=str(certificate))
    plain = Transport(url, now=lambda: NOW)
    assert (await trusting.send(get())).status == 200
    with pytest.raises(NotSent):
        await plain.send(post())
    await trusting.aclose()
    await plain.aclose()
    listening.close()
