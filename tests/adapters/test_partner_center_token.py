"""Tokens through the real MSAL against a scripted authority over TLS on this machine."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center.token import AppToken
from tests.adapters.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "local-partner-center-secret"
pytestmark = pytest.mark.anyio


class Authority:
    """An OpenID configuration and a token endpoint; `answer` decides each token request."""

    def __init__(self, certificate: Path) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.answer: Callable[[int], tuple[int, dict[str, Any]]] = lambda number: (200, token(number))
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tenant = f"{authority.url}/tenant"
                endpoints = {name: f"{tenant}/{name}" for name in ("token_endpoint", "authorization_endpoint")}
                self._send(200, {"issuer": f"{tenant}/v2.0", **endpoints})

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                authority.forms.append(parse_qs(form))
                self._send(*authority.answer(len(authority.forms)))

            def _send(self, status: int, body: dict[str, Any]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden name
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"


def token(number: int, seconds: int = 3600) -> dict[str, Any]:
    return {"token_type": "Bearer", "expires_in": seconds, "access_token": f"token-{number}"}


@pytest.fixture
def authority(certificate: Path) -> Iterator[Authority]:
    opened = Authority(certificate)
    thread = threading.Thread(target=opened.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield opened
    opened.server.shutdown()
    thread.join()
    opened.server.server_close()


class Clock:
    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


def source(url: str, ca_file: Path | None, clock: Callable[[], datetime] = lambda: NOW) -> AppToken:
    return AppToken(
        authority=url,
        tenant="tenant",
        client_id="client",
        client_secret=SECRET,
        scope="https://api.partnercenter.microsoft.com/.default",
        now=clock,
        ca_file=str(ca_file) if ca_file else None,
    )


async def test_a_token_is_asked_for_with_the_secret_and_kept_until_five_minutes_before_its_end(
    authority: Authority, certificate: Path
) -> None:
    clock = Clock()
    tokens = source(authority.url, certificate, clock)
    assert [await tokens.token(), await tokens.token()] == ["token-1", "token-1"]
    clock.moment += timedelta(minutes=54, seconds=59)
    assert await tokens.token() == "token-1"
    clock.moment += timedelta(seconds=1)
    assert await tokens.token() == "token-2"
    form = authority.forms[0]
    assert (form["grant_type"], form["client_id"], form["client_secret"]) == (
        ["client_credentials"], ["client"], [SECRET],
    )  # fmt: skip
    assert "https://api.partnercenter.microsoft.com/.default" in form["scope"][0].split()


async def test_callers_at_the_same_time_share_one_renewal(authority: Authority, certificate: Path) -> None:
    tokens = source(authority.url, certificate)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(10)))) == {"token-1"}
    assert set(await asyncio.gather(*(tokens.token(force=True) for _ in range(10)))) == {"token-2"}
    assert len(authority.forms) == 2


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (401, {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid {SECRET} of user@x.example"},
         Misconfigured, "AADSTS7000215"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS50076: MFA"}, Misconfigured, "AADSTS50076"),
        (400, {"error": "invalid_grant"}, Misconfigured, "invalid_grant"),
        (400, {"error": "temporarily", "error_description": "AADSTS90033: later"}, RetryLater, "AADSTS90033"),
        (429, {"error": "throttled"}, RetryLater, "throttled"),
        (500, {"error": "server_error"}, RetryLater, "authority"),
        (200, {"hello": "world"}, RetryLater, "no error code"),
    ],
)  # fmt: skip
async def test_failures_tell_entras_number_and_nothing_else(
    authority: Authority, certificate: Path, status: int, body: dict[str, Any], error: type[Exception], told: str
) -> None:
    authority.answer = lambda _number: (status, body)
    tokens = source(authority.url, certificate)
    with pytest.raises(error, match=told) as caught:
        await tokens.token()
    assert SECRET not in str(caught.value)
    assert "user@x.example" not in str(caught.value)


async def test_an_error_answer_is_not_kept(authority: Authority, certificate: Path) -> None:
    authority.answer = lambda number: (400, {"error": "invalid_grant"}) if number == 1 else (200, token(number))
    tokens = source(authority.url, certificate)
    with pytest.raises(Misconfigured):
        await tokens.token()
    assert await tokens.token() == "token-2"


async def test_an_authority_that_cannot_be_reached_is_for_later(certificate: Path) -> None:
    with pytest.raises(RetryLater):
        await source("https://localhost:1", certificate).token()


async def test_the_ca_file_wins_over_the_environment(
    authority: Authority, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert await source(authority.url, certificate).token() == "token-1"


async def test_an_authority_that_is_not_trusted_gets_no_secret(authority: Authority) -> None:
    with pytest.raises(RetryLater):
        await source(authority.url, None).token()
    assert authority.forms == []
