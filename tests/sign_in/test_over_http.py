"""The application signed in as a user, seen by a portal and its operators: calls, refusals, readiness, a new consent.

And what none of them may ever see: every log, answer and row of this stack is searched for what must stay secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.data.tables import TableServiceClient

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from shared.storage.store import TABLES
from tests.local_world.vendor_processes import CLIENT_SECRET, Entra
from tests.sign_in.conftest import EXPIRED, WITHOUT_MFA, calm, fault
from tests.sign_in.test_consent import UPN, Person
from tests.spine.conftest import SETTINGS
from tests.spine.world import World, eventually

STOP_SECONDS = 3
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}")


class Office:
    """A stack that is signed in as a user, its people, and everything they were ever shown."""

    def __init__(self, stack: Stack, world: World, entra: Entra) -> None:
        self.stack = stack
        self.world = world
        self.entra = entra
        self.partner_center = world.partner_center
        self.file = Path(stack.ready["settings"]["PARTNER_CENTER_REFRESH_TOKEN_FILE"])
        self.shown: list[str] = []

    def read(self, path: str) -> httpx.Response:
        answer = self.world.clients["reader"].get(path)
        self.shown.append(f"{answer.headers}{answer.text}")
        return answer

    def readiness(self) -> dict[str, Any]:
        state: dict[str, Any] = self.read("/health/ready").json()["dependencies"]["partnerCenter"]
        return state

    def store(self, refresh_token: str) -> None:
        """Somebody replaces the stored token by hand."""
        document = json.loads(self.file.read_text())
        self.file.write_text(json.dumps(document | {"token": refresh_token}))

    def reject_the_present_token(self) -> None:
        """Its next call makes the application exchange the refresh token."""
        fault(self.partner_center, path="/v1/", fault="401")

    def calls(self) -> int:
        count: int = self.partner_center.get("/_control/requests", params={"path": "/v1/"}).json()["count"]
        return count

    def consent(self, directory: Path) -> str:
        person = Person(self.entra, self.stack.ready["settings"], directory)
        code, shown, errors = person.by_hand()
        assert code == 0, errors
        self.shown.append(shown + errors)
        return shown


@pytest.fixture(scope="module")
def running_office(forks: ForkServer) -> Iterator[Office]:
    options = StackOptions(
        storage_in_memory=True,
        seed_customers=20,
        subscriptions_per_customer=2,
        first_sync=False,
        settings={**SETTINGS, "PARTNER_CENTER_SIGN_IN": "user", "PARTNER_CENTER_STOP_SECONDS": str(STOP_SECONDS)},
        forks=forks,
    )
    with Stack(options) as stack, World(stack) as world:
        ca_file = Path(stack.ready["caFile"])
        with httpx.Client(base_url=stack.ready["entra"], verify=_trust(ca_file), trust_env=False, timeout=10) as http:
            yield Office(stack, world, Entra(stack.ready["entra"], ca_file, http))


@pytest.fixture
def office(running_office: Office, tmp_path: Path) -> Iterator[Office]:
    """A calm one that is signed in well at the end."""
    calm(running_office.partner_center)
    yield running_office
    calm(running_office.entra.http)
    calm(running_office.partner_center)
    running_office.consent(tmp_path)


def _trust(ca_file: Path) -> Any:
    import ssl  # noqa: PLC0415 - the one use

    return ssl.create_default_context(cafile=str(ca_file))


def test_an_action_is_carried_out_in_the_name_of_the_user(office: Office) -> None:
    subject = office.world.inside_window()
    operation = office.world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    office.world.wait_for_rest(operation)
    office.shown.append(office.read(f"/operations/{operation}").text)
    assert office.readiness() == {"healthy": True}
    assert audited(office) == {UPN}, "Partner Center knows the user"


def audited(office: Office) -> set[str]:
    """In whose name today's changes were made."""
    today = {"startDate": f"{office.world.today():%Y-%m-%d}"}
    authorization = {"Authorization": f"Bearer {office.entra.access_token()}"}
    answer = office.partner_center.get("/v1/auditrecords", params=today, headers=authorization)
    return {str(item["userPrincipalName"]) for item in answer.raise_for_status().json()["items"]}


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (EXPIRED, r"AADSTS700082.*consent command"),
        (WITHOUT_MFA, r"second factor.*consent command"),
        ("never-issued", r"AADSTS700082.*consent command"),
    ],
)
def test_a_sign_in_that_is_refused_is_told_everywhere_and_stops_the_calls_until_a_consent(
    office: Office, tmp_path: Path, stored: str, told: str
) -> None:
    office.store(stored)
    office.reject_the_present_token()
    subject = office.world.unmapped("open")
    refused = office.read(subject.path)
    assert (refused.status_code, refused.json()["code"]) == (503, "misconfigured")
    assert re.search(told, refused.json()["reason"])
    before = office.calls()
    state = office.readiness()
    assert state["healthy"] is False
    assert re.search(told, state["reason"])
    assert state["stoppedBecause"] == state["reason"]
    assert state["stoppedUntil"] > "2"
    action = office.world.act(subject, "change-quantity", quantity=subject.quantity + 1)
    assert (action.status_code, action.json()["code"]) == (503, "misconfigured")
    assert office.calls() == before, "nothing leaves while the calls are stopped"

    office.consent(tmp_path)

    assert office.read(subject.path).status_code == 200
    assert office.readiness() == {"healthy": True}


def test_a_stop_ends_by_itself_so_that_a_mistake_of_entra_heals(office: Office) -> None:
    refusal = {"error": "invalid_grant", "error_description": "AADSTS50076: you must use multi-factor authentication"}
    fault(office.entra.http, path="/token$", fault="400", body=refusal, times=2)  # the token in memory, the stored one
    office.reject_the_present_token()
    path = office.world.unmapped("open").path
    assert office.read(path).status_code == 503
    assert office.read(path).status_code == 503
    eventually(lambda: office.read(path).status_code, lambda status: status == 200, STOP_SECONDS + 5)


def test_a_call_that_partner_center_refuses_for_its_missing_factor_stops_them_all(
    office: Office, tmp_path: Path
) -> None:
    path = office.world.unmapped("open").path
    office.reject_the_present_token()
    assert office.read(path).status_code == 200, "the newest sign-in is in use"
    before = office.calls()
    refusal = {"code": 900421, "description": f"MFA is required for {UPN}"}
    fault(office.partner_center, path="/v1/", fault="401", body=refusal, times=0)
    answers = [office.read(path) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {503}
    assert all("900421" in answer.json()["reason"] for answer in answers)
    assert office.calls() == before + 1
    office.partner_center.delete("/_control/faults").raise_for_status()
    office.consent(tmp_path)
    assert office.read(path).status_code == 200


def test_nothing_of_all_this_has_left_a_secret_behind(office: Office) -> None:
    """Runs last, so that there is something to search."""
    secrets = {CLIENT_SECRET, UPN, UPN.partition("@")[0] + "%40"}
    secrets |= {item["token"] for item in office.entra.http.get("/_control/state").json()["refreshTokens"]}
    secrets |= {_stored(office)}
    places = {path.name: path.read_text(errors="replace") for path in office.stack.logs.iterdir()}
    places["rows"] = rows(office.stack.ready["tables"])
    places["answers"] = "\n".join(office.shown)
    assert "partner_center_stopped" in places["host.log"]
    assert "AADSTS700082" in places["rows"] + places["answers"]
    found = {(name, secret) for name, text in places.items() for secret in secrets if secret in text}
    found |= {(name, match[0]) for name, text in places.items() for match in TOKEN.finditer(text)}
    assert not found


def _stored(office: Office) -> str:
    return str(json.loads(office.file.read_text())["token"])


def rows(connection_string: str) -> str:
    with TableServiceClient.from_connection_string(connection_string) as service:
        return "\n".join(
            str(dict(entity)) for table in TABLES for entity in service.get_table_client(table).list_entities()
        )
