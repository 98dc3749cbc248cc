"""The consent command as a person runs it: a process with the application's settings, and a browser beside it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from shared.domain.errors import Misconfigured
from shared.partner_center.refresh_tokens import TokenFile
from shared.partner_center.rotation import UserSignIn
from shared.partner_center.token import Tokens
from shared.storage.coordination import Coordination
from tests.local_world.vendor_processes import CLIENT_ID, CLIENT_SECRET, SCOPE, TENANT, Entra, KeyVault, free_port
from tests.sign_in.conftest import EXPIRED, Clock, Directory, client_file, expected
from tests.sign_in.test_tokens import PAUSE

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
SECONDS = 30
BROWSER = Path(__file__).with_name("browser.py")
UPN = "agent@partnersim.example"


@dataclass
class Person:
    """Somebody at a terminal with the settings of the application, and with a browser that trusts the local CA."""

    entra: Entra
    settings: dict[str, str]
    directory: Path

    @property
    def file(self) -> Path:
        return Path(self.settings["PARTNER_CENTER_REFRESH_TOKEN_FILE"])

    def run(self, *arguments: str, browser: str = "") -> subprocess.Popen[str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = {**inherited, "PYTHONPATH": str(ROOT), "BROWSER": browser or "/bin/false", **self.settings}
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "shared.partner_center.consent", *arguments],
            env=environment,
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def browser(self) -> str:
        """A program that opens the address it is given and sends the form that it finds there, as a browser does."""
        program = self.directory / "browser"
        program.write_text(f"#!/bin/sh\nexec {sys.executable} {BROWSER} {self.entra.ca_file} page.html $1\n")
        program.chmod(0o700)
        return str(program)

    def sign_in(self, address: str) -> str:
        """Open the address of the sign-in by hand; where the browser ends."""
        trust = ssl.create_default_context(cafile=str(self.entra.ca_file))
        return str(httpx.get(address, verify=trust, trust_env=False).headers["location"])

    def by_hand(self, *arguments: str, spoil: str = "") -> tuple[int, str, str]:
        """Run without a browser and paste where the sign-in ended."""
        with self.run("--no-browser", *arguments) as command:
            assert command.stdout is not None
            address = ""
            while not address.startswith("https://"):
                line = command.stdout.readline()
                assert line, command.communicate(timeout=SECONDS)
                address = line.strip()
            shown, errors = command.communicate(spoil or self.sign_in(address) + "\n", timeout=SECONDS)
        return command.returncode, f"{address}\n{shown}", errors


@pytest.fixture
def person(entra: Entra, tables: str, tmp_path: Path) -> Person:
    settings = {
        "TABLES_CONNECTION_STRING": tables,
        "ENTRA_AUTHORITY": entra.url,
        "ENTRA_CA_FILE": str(entra.ca_file),
        "PARTNER_CENTER_SIGN_IN": "user",
        "PARTNER_CENTER_TENANT": TENANT,
        "PARTNER_CENTER_CLIENT_ID": CLIENT_ID,
        "PARTNER_CENTER_CLIENT_SECRET": CLIENT_SECRET,
        "PARTNER_CENTER_SCOPE": SCOPE,
        "PARTNER_CENTER_REFRESH_TOKEN_FILE": str(tmp_path / "kept" / "refresh-token.json"),
    }
    return Person(entra, settings, tmp_path)


@pytest.fixture
def process(person: Person, coordination: Coordination, clock: Clock) -> Tokens:
    """A process of the application that is told to use the same file."""
    sign_in = UserSignIn(
        Directory(person.entra).authority(), TokenFile(person.file, now=clock), coordination, now=clock
    )
    return Tokens(sign_in, coordination, expected(user=True), now=clock, pause=PAUSE)


def token_in(file: Path) -> str:
    return str(json.loads(file.read_text())["token"])


async def test_a_sign_in_in_the_browser_is_stored_and_lets_the_application_in(
    person: Person, process: Tokens, directory: Directory
) -> None:
    with pytest.raises(Misconfigured, match="run the consent command"):
        await process.token()

    with person.run("--port", "0", browser=person.browser()) as command:
        shown, errors = await asyncio.to_thread(command.communicate, timeout=SECONDS)

    assert (command.returncode, errors) == (0, ""), shown
    assert "with a second factor" in shown
    assert str(person.file) in shown
    assert "The sign-in is over" in (person.directory / "page.html").read_text()
    token = token_in(person.file)
    assert directory.is_alive(token)
    assert token not in shown
    assert UPN not in shown
    assert await process.token(), "the stop has ended with it"


def test_the_address_proves_by_a_challenge_who_may_exchange_the_code(person: Person, directory: Directory) -> None:
    code, shown, errors = person.by_hand()
    assert (code, errors) == (0, "")
    query = parse_qs(urlsplit(shown.splitlines()[0]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert set(query["scope"][0].split()) >= {SCOPE, "offline_access"}
    (exchange,) = directory.exchanges()
    assert "code_verifier=" in exchange["body"]
    assert token_in(person.file) not in shown


@pytest.mark.parametrize(
    ("switch", "told"), [("password_only", "without a second factor"), ("declined", "AADSTS65004.*declined")]
)
def test_a_sign_in_that_is_too_weak_or_declined_stores_nothing(
    person: Person, directory: Directory, switch: str, told: str
) -> None:
    directory.switch(signIn=switch)
    code, _, errors = person.by_hand()
    assert code == 1
    assert errors.startswith("Nothing was stored: ")
    assert re.search(told, errors)
    assert "Traceback" not in errors
    assert UPN not in errors
    assert not person.file.exists()


@pytest.mark.parametrize(
    "pasted",
    [
        "\n",
        "nonsense\n",
        "http://localhost:8400?code=stolen&state=other\n",
        "http://localhost:8400?code=stolen\n",
    ],
)
def test_an_answer_that_does_not_belong_to_the_sign_in_stores_nothing(person: Person, pasted: str) -> None:
    code, _, errors = person.by_hand(spoil=pasted)
    assert (code, errors) == (1, "Nothing was stored: the answer does not belong to this sign-in; begin again\n")
    assert not person.file.exists()


def test_a_wrong_secret_is_told_without_the_secret(person: Person) -> None:
    person.settings["PARTNER_CENTER_CLIENT_SECRET"] = "a-wrong-secret"
    code, shown, errors = person.by_hand()
    assert code == 1
    assert "AADSTS7000215" in errors
    assert "a-wrong-secret" not in shown + errors


def test_a_certificate_is_enough(person: Person) -> None:
    del person.settings["PARTNER_CENTER_CLIENT_SECRET"]
    person.settings["PARTNER_CENTER_CERTIFICATE_FILE"] = str(client_file(person.entra))
    assert person.by_hand()[0] == 0
    assert person.file.exists()


@pytest.mark.parametrize("name", ["PARTNER_CENTER_TENANT", "PARTNER_CENTER_CLIENT_SECRET", "TABLES_CONNECTION_STRING"])
def test_a_missing_setting_is_named(person: Person, name: str) -> None:
    del person.settings[name]
    with person.run("--no-browser") as command:
        _, errors = command.communicate("", timeout=SECONDS)
    assert command.returncode == 1
    assert name in errors.upper()


def test_settings_can_come_from_the_file_that_func_start_reads(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": person.settings}))
    token_file = person.file
    person.settings = {}
    assert person.by_hand("--settings", str(file))[0] == 0
    assert token_file.exists()


def test_a_file_of_settings_that_is_none_is_told(person: Person, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("[]")
    with person.run("--settings", str(tmp_path / "wrong.json")) as command:
        _, errors = command.communicate("", timeout=SECONDS)
    assert command.returncode == 1
    assert "is no local.settings.json" in errors


def test_a_stop_is_left_to_its_time_where_table_storage_is_away(person: Person) -> None:
    person.settings["TABLES_CONNECTION_STRING"] = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=bG9jYWw=;"
        f"TableEndpoint=http://127.0.0.1:{free_port()}/devstoreaccount1;"
    )
    code, shown, _ = person.by_hand()
    assert code == 0
    assert "go on by themselves within 5 minutes" in shown
    assert person.file.exists()


@pytest.fixture
def trusted(person: Person, vault: KeyVault) -> KeyVault:
    """Key Vault as the cloud has it: an identity from the environment, a certificate that the system trusts."""
    trust = person.directory / "system-trust.pem"
    trust.write_bytes(vault.ca_file.read_bytes() + person.entra.ca_file.read_bytes())
    del person.settings["PARTNER_CENTER_REFRESH_TOKEN_FILE"]
    person.settings |= {
        "KEY_VAULT_URL": vault.url,
        "PARTNER_CENTER_REFRESH_TOKEN_SECRET": "consented",
        "SSL_CERT_FILE": str(trust),
        "AZURE_AUTHORITY_HOST": person.entra.url,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT_ID,
        "AZURE_CLIENT_SECRET": CLIENT_SECRET,
    }
    return vault


def test_the_token_goes_to_key_vault_where_one_is_set(person: Person, trusted: KeyVault) -> None:
    code, shown, errors = person.by_hand()
    assert (code, errors) == (0, "")
    assert f"the secret consented of {trusted.url}" in shown
    assert "consented" in trusted.http.get("/_control/state").json()["secrets"]


def test_a_vault_that_lets_nobody_write_is_told(person: Person, trusted: KeyVault) -> None:
    trusted.http.post("/_control/switches", json={"access": "read_only"}).raise_for_status()
    code, _, errors = person.by_hand()
    assert (code, errors) == (
        1,
        "Nothing was stored: Key Vault refuses access to the secret of the Partner Center sign-in\n",
    )


@pytest.mark.parametrize(
    ("method", "path", "form", "status"),
    [
        ("GET", "/favicon.ico", {}, 404),
        ("GET", "/?code=stolen&state=other", {}, 404),
        ("POST", "/", {}, 400),
        ("POST", "/", {"code": "stolen", "state": "other"}, 400),
        ("POST", "/", {"code": "x" * 70_000}, 413),
    ],
)
def test_the_listener_waits_on_for_the_answer_that_is_meant(
    person: Person, directory: Directory, method: str, path: str, form: dict[str, str], status: int
) -> None:
    port = free_port()
    with person.run("--port", str(port)) as command:
        assert command.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Waiting"):
            lines.append(command.stdout.readline())
            assert lines[-1], command.communicate(timeout=SECONDS)
        stray = httpx.request(method, f"http://127.0.0.1:{port}{path}", data=form, trust_env=False)
        assert stray.status_code == status
        address = next(line.strip() for line in lines if "https://" in line)
        subprocess.run([person.browser(), address], cwd=person.directory, check=True, timeout=SECONDS)  # noqa: S603 - ours
        assert command.wait(SECONDS) == 0
    assert directory.is_alive(token_in(person.file))


def test_nobody_signs_in_in_time(person: Person) -> None:
    with person.run("--port", "0", "--timeout", "0.5") as command:
        _, errors = command.communicate("", timeout=SECONDS)
    assert (command.returncode, errors) == (1, "Nothing was stored: nobody has signed in in time\n")


async def test_a_consent_replaces_a_token_that_was_refused(
    person: Person, process: Tokens, clock: Clock, directory: Directory
) -> None:
    await TokenFile(person.file, now=clock).save(EXPIRED)
    with pytest.raises(Misconfigured, match="AADSTS700082"):
        await process.token()
    assert (await asyncio.to_thread(person.by_hand))[0] == 0
    assert await process.token()
    assert directory.is_alive(token_in(person.file))
