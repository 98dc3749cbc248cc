"""For each product family and state the API says, previews and does what the rules table says (docs/rules.md)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.domain.actions import Action, Allowed, AlreadyDone, Decision, decide
from shared.domain.subscription import Family, State
from shared.partner_center.wire import parse_subscription
from tests.conftest import Portal

CUSTOMER = "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02"
# How a subscription of each family is made: a template of the simulator, and what is forced upon it afterwards
TEMPLATES: dict[Family, tuple[str, dict[str, Any]]] = {
    Family.NCE_LICENSE: ("nce", {}),
    Family.LEGACY_LICENSE: ("legacy", {}),
    Family.LEGACY_AZURE: ("legacy", {"offerId": "MS-AZR-0145P"}),
    Family.AZURE_PLAN: ("azure-plan", {}),
    Family.SOFTWARE: ("software", {}),
    Family.RESERVATION: ("saas", {"productType": {"id": "AzureReservations"}, "isMicrosoftProduct": True}),
    Family.SAAS: ("saas", {}),
    Family.TRIAL: ("trial", {}),
    Family.UNKNOWN: ("saas", {"productType": {"id": "SomethingNew"}, "isMicrosoftProduct": True}),
}
FORCED_STATES: dict[State, dict[str, Any]] = {
    State.ACTIVE: {},
    State.SUSPENDED: {"status": "suspended", "autoRenewEnabled": False},
    State.EXPIRED: {"status": "expired"},
    State.DISABLED: {"status": "disabled"},
    State.DISABLED_AFTER_SUSPENSION: {"status": "disabled", "suspensionReasons": ["PartnerRequest"]},
    State.DELETED: {"status": "deleted"},
    State.PENDING: {"status": "pending"},
    State.UNKNOWN: {"status": "in_review"},
}
SCHEDULE = "11111111-1111-4111-8111-111111111111"
TARGET = {"target": "CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2", "confirm": True, "confirmLosses": True}
REQUESTS: dict[Action, tuple[str, str, dict[str, Any]]] = {
    Action.SUSPEND: ("POST", "suspend", {"confirmLosses": True}),
    Action.REACTIVATE: ("POST", "reactivate", {}),
    Action.CHANGE_QUANTITY: ("POST", "change-quantity", {"quantity": 11, "confirmLosses": True}),
    Action.CANCEL: ("POST", "cancel", {"confirmLosses": True}),
    Action.UPGRADE: ("POST", "upgrade", TARGET),
    Action.MIGRATE: ("POST", "migrate", {"confirm": True}),
    Action.SCHEDULE_MIGRATION: ("POST", "migrate/schedules", {"confirm": True}),
    Action.CANCEL_MIGRATION_SCHEDULE: ("DELETE", f"migrate/schedules/{SCHEDULE}", {}),
    Action.SCHEDULE_RENEWAL: ("PUT", "renewal", {"quantity": 3}),
    Action.REMOVE_SCHEDULE: ("DELETE", "renewal", {}),
    Action.AUTO_RENEW_ON: ("POST", "auto-renew", {"enabled": True}),
    Action.AUTO_RENEW_OFF: ("POST", "auto-renew", {"enabled": False, "confirmLosses": True}),
}
PREVIEWS = {Action.CHANGE_QUANTITY: "?quantity=11"}
PREVIEWED = set(REQUESTS) - {Action.CANCEL_MIGRATION_SCHEDULE}


@pytest.fixture(scope="module")
def control(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.ready["partnerCenter"], trust_env=False, timeout=30) as client:
        yield client


def made(control: httpx.Client, family: Family, state: State, days: int) -> tuple[str, dict[str, Any]]:
    """A subscription of a family in a state, bought so many days ago: its path, and the resource."""
    template, forced = TEMPLATES[family]
    wanted = {"customerId": CUSTOMER, "template": template, "quantity": 10, "boughtDaysAgo": days}
    identity = control.post("/_control/state/subscriptions", json=wanted).raise_for_status().json()["id"]
    path = f"/_control/state/subscriptions/{identity}"
    control.patch(path, json={"force": True} | forced | FORCED_STATES[state]).raise_for_status()
    resource = control.get(path).raise_for_status().json()["resource"]
    return f"/customers/{CUSTOMER}/subscriptions/{identity.lower()}", resource


@pytest.mark.parametrize("days", [2, 40], ids=["inside the windows", "after the windows"])
@pytest.mark.parametrize("family", TEMPLATES, ids=lambda family: family.value)
def test_the_list_shows_what_the_table_says(api: Portal, control: httpx.Client, family: Family, days: int) -> None:
    for state in FORCED_STATES:
        path, resource = made(control, family, state, 2 if family is Family.TRIAL else days)
        shown = api.reader.get(path).json()["actions"]
        table = decisions(control, family, state, resource, quantity=None)
        assert {action: said(shown[camel(action)]) for action in table} == {
            action: word(decision) for action, decision in table.items()
        }, f"{family} {state}"


@pytest.mark.parametrize("family", TEMPLATES, ids=lambda family: family.value)
def test_the_actions_answer_as_the_table_says_and_a_refusal_changes_nothing(
    api: Portal, control: httpx.Client, family: Family
) -> None:
    for state in FORCED_STATES:
        path, resource = made(control, family, state, 2)
        table = decisions(control, family, state, resource, quantity=11)
        denied = [action for action, decision in table.items() if not isinstance(decision, Allowed)]
        with ThreadPoolExecutor(4) as pool:
            answers = dict(zip(denied, pool.map(partial(asked, api, path), denied), strict=True))
        for action, answer in answers.items():
            found = answer.json()
            code = "already_done" if found.get("alreadyDone") else found.get("code")
            status = 200 if isinstance(table[action], AlreadyDone) else 409
            assert (answer.status_code, code) == (status, word(table[action])), f"{family} {state} {action}: {found}"
        written = f"/_control/requests?method=PATCH&path={path.rpartition('/')[2]}"
        assert control.get(written).json()["count"] == 0


@pytest.mark.parametrize("state", [State.ACTIVE, State.SUSPENDED])
@pytest.mark.parametrize("family", TEMPLATES, ids=lambda family: family.value)
def test_the_previews_say_what_the_table_says(api: Portal, control: httpx.Client, family: Family, state: State) -> None:
    path, resource = made(control, family, state, 2)
    table = decisions(control, family, state, resource, quantity=11)
    shown = {action: said(preview(api, path, action)) for action in table if action in PREVIEWED}
    assert shown == {action: word(table[action]) for action in shown}


def decisions(
    control: httpx.Client, family: Family, state: State, resource: dict[str, Any], *, quantity: int | None
) -> dict[Action, Decision]:
    """The row of the table, by Microsoft's clock."""
    subscription = parse_subscription(CUSTOMER, resource)
    assert (subscription.family, subscription.state) == (family, state)
    now = datetime.fromisoformat(control.get("/_control/clock").json()["now"])
    seats = {Action.CHANGE_QUANTITY: quantity}
    return {action: decide(action, subscription, now, seats.get(action)) for action in REQUESTS}


def camel(action: Action) -> str:
    first, *rest = action.value.split("_")
    return first + "".join(part.capitalize() for part in rest)


def word(decision: Decision) -> str:
    match decision:
        case Allowed():
            return "allowed"
        case AlreadyDone():
            return "already_done"
        case _:
            return decision.code


def said(shown: dict[str, Any]) -> str:
    return "allowed" if shown["allowed"] else str(shown["code"])


def preview(api: Portal, path: str, action: Action) -> dict[str, Any]:
    name = action.value.replace("_", "-")
    answer = api.reader.get(f"{path}/preview/{name}{PREVIEWS.get(action, '')}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    if action in {Action.MIGRATE, Action.SCHEDULE_MIGRATION} and found.get("code") == "not_eligible":
        return {"allowed": True}  # the table allows it; what Microsoft's validation says comes on top
    return found


def asked(api: Portal, path: str, action: Action) -> httpx.Response:
    method, name, body = REQUESTS[action]
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    return api.operator.request(method, f"{path}/{name}", json=body, headers=headers)


def test_every_family_and_state_is_in_the_table() -> None:
    assert set(TEMPLATES) == set(Family)
    assert set(FORCED_STATES) == set(State)
    assert set(REQUESTS) == set(Action) - {Action.SYNC}
