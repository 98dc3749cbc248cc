"""What the real MSAL makes of a scripted authority over TLS on this machine, and what we make of that."""

from __future__ import annotations

import json
import ssl
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center import credential
from shared.partner_center.authority import Authority, Grant, SignInRefused
from tests.adapters.conftest import certificate

__all__ = ["certificate"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "local-partner-center-secret"
pytestmark = pytest.mark.anyio


class Script:
    """An OpenID configuration and a token endpoint; `answer` decides each token request."""

    def __init__(self, certificate: Path) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.answer: Callable[[int], tuple[int, dict[str, Any]]] = lambda number: (200, token(number))
        self.discovery = 200
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tenant = f"{script.url}/tenant"
                if script.discovery != 200:
                    self._send(script.discovery, {"error_description": "AADSTS90002: Tenant 'tenant' not found."})
                    return
                endpoints = {name: f"{tenant}/{name}" for name in ("token_endpoint", "authorization_endpoint")}
                self._send(200, {"issuer": f"{tenant}/v2.0", **endpoints})

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                script.forms.append(parse_qs(form))
                self._send(*script.answer(len(script.forms)))

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
def script(certificate: Path) -> Iterator[Script]:
    opened = Script(certificate)
    thread = threading.Thread(target=opened.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield opened
    opened.server.shutdown()
    thread.join()
    opened.server.server_close()


def authority(url: str, ca_file: Path | None) -> Authority:
    return Authority(
        authority=url,
        tenant="tenant",
        client_id="client",
        credential=credential.from_secret(SECRET),
        scope="https://api.partnercenter.microsoft.com/.default",
        ca_file=str(ca_file) if ca_file else None,
    )


async def test_an_application_asks_with_its_secret_for_all_permissions(script: Script, certificate: Path) -> None:
    grant = await authority(script.url, certificate).as_application()
    assert grant == Grant("token-1", timedelta(hours=1))
    (form,) = script.forms
    assert (form["grant_type"], form["client_id"], form["client_secret"]) == (
        ["client_credentials"], ["client"], [SECRET],
    )  # fmt: skip
    assert "https://api.partnercenter.microsoft.com/.default" in form["scope"][0].split()


async def test_a_refresh_token_is_exchanged_for_the_one_that_follows_it(script: Script, certificate: Path) -> None:
    script.answer = lambda number: (200, token(number) | {"refresh_token": "next"})
    grant = await authority(script.url, certificate).redeem("present")
    assert (grant.access_token, grant.refresh_token) == ("token-1", "next")
    assert script.forms[0]["refresh_token"] == ["present"]


async def test_a_grant_shows_no_token(script: Script, certificate: Path) -> None:
    script.answer = lambda number: (200, token(number) | {"refresh_token": "next"})
    grant = await authority(script.url, certificate).redeem("present")
    assert "token-1" not in repr(grant)
    assert "next" not in repr(grant)


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (401, {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid {SECRET} of user@x.example"},
         Misconfigured, "AADSTS7000215.*client secret is wrong"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS50076: MFA"}, Misconfigured,
         "AADSTS50076.*second factor.*consent command"),
        (400, {"error": "interaction_required", "error_description": "AADSTS50079: MFA"}, Misconfigured, "AADSTS50079"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS700082: old"}, Misconfigured,
         "AADSTS700082.*expired.*consent command"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS999: new"}, Misconfigured, "consent command"),
        (400, {"error": "invalid_grant"}, Misconfigured, "invalid_grant"),
        (400, {"error": "temporarily", "error_description": "AADSTS90033: later"}, RetryLater, "AADSTS90033"),
        (429, {"error": "throttled"}, RetryLater, "throttled"),
        (500, {"error": "server_error"}, RetryLater, "authority"),
        (200, {"hello": "world"}, RetryLater, "no error code"),
    ],
)  # fmt: skip
async def test_failures_tell_entras_number_and_nothing_else_of_entras(
    script: Script, certificate: Path, status: int, body: dict[str, Any], error: type[Exception], told: str
) -> None:
    script.answer = lambda _number: (status, body)
    with pytest.raises(error, match=told) as caught:
        await authority(script.url, certificate).redeem("present")
    assert SECRET not in str(caught.value)
    assert "user@x.example" not in str(caught.value)
    assert "present" not in str(caught.value)


@pytest.mark.parametrize(("error", "told"), [("invalid_grant", "the token"), ("invalid_client", "else")])
async def test_a_refusal_says_whether_it_is_about_the_presented_token(
    script: Script, certificate: Path, error: str, told: str
) -> None:
    script.answer = lambda _number: (400, {"error": error})
    with pytest.raises(SignInRefused) as caught:
        await authority(script.url, certificate).redeem("present")
    assert ("the token" if caught.value.about_the_token else "else") == told


async def test_a_tenant_that_does_not_exist_is_for_a_person(script: Script, certificate: Path) -> None:
    script.discovery = 400
    with pytest.raises(Misconfigured, match=r"AADSTS90002.*no such tenant"):
        await authority(script.url, certificate).as_application()


async def test_a_discovery_that_does_not_work_is_for_later(script: Script, certificate: Path) -> None:
    script.discovery = 503
    with pytest.raises(RetryLater):
        await authority(script.url, certificate).as_application()


async def test_an_error_answer_is_not_kept(script: Script, certificate: Path) -> None:
    script.answer = lambda number: (400, {"error": "invalid_grant"}) if number == 1 else (200, token(number))
    asked = authority(script.url, certificate)
    with pytest.raises(Misconfigured):
        await asked.redeem("present")
    assert (await asked.redeem("present")).access_token == "token-2"


async def test_an_authority_that_cannot_be_reached_is_for_later(certificate: Path) -> None:
    with pytest.raises(RetryLater):
        await authority("https://localhost:1", certificate).as_application()


async def test_the_ca_file_wins_over_the_environment(
    script: Script, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert (await authority(script.url, certificate).as_application()).access_token == "token-1"


async def test_an_authority_that_is_not_trusted_gets_no_secret(script: Script) -> None:
    with pytest.raises(RetryLater):
        await authority(script.url, None).as_application()
    assert script.forms == []
