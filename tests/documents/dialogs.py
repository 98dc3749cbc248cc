"""The calls of each dialog of a portal, asked of a running stack and written into docs/api.md with their answers.

`python -m tests.documents dialogs` writes them. `test_dialogs.py` asks them again and fails where an answer has another
shape or another word; moments, durations and generated ids may differ.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from local.stack import Stack, StackOptions
from tests.openapi import conforming

NORTHWIND = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"
FABRIKAM = "2e4d8c11-7a90-4c1c-a1b5-0f6e3b2d7a02"
FRESH = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab01"
CLOSED = f"/customers/{NORTHWIND}/subscriptions/7c1e2a34-90ab-4cde-8f01-23456789ab02"
LEGACY = f"/customers/{FABRIKAM}/subscriptions/1c2b75c1-74a5-472a-a729-7f8cefc47701"
SCHEDULED = f"/customers/{FABRIKAM}/subscriptions/d3b7c9a2-9a4b-40b2-b075-6e442909e305"
PREMIUM = "CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2"
SETTINGS = {
    "SETTLE_SECONDS": "1",
    "PARTNER_CENTER_TIMEOUT_SECONDS": "3",  # an upgrade and a migration are looked at first a fifth after it
    "PARTNER_CENTER_SETTLE_SECONDS": "1",
    "OUTBOX_SECONDS": "1",
    "RETRY_SECONDS": "1",
    "RETRY_MAX_SECONDS": "2",
    # No timer reads anything behind a dialog's back, whatever the time
    "SYNC_SCHEDULE": "0 0 0 1 1 *",
    "SYNC_TICK_SCHEDULE": "0 0 0 1 1 *",
    "SYNC_CHANGES_SCHEDULE": "0 0 0 1 1 *",
}
UNDO = f"/operations/{FABRIKAM}_{SCHEDULED.rpartition('/')[2]}_2/undo"
RECONCILE = ("POST", "/reconciliation")
BULK = "{id}"  # of the bulk that was asked for last
_SECONDS = 40
_LONGEST = 1  # items of a list that the document shows
_LINE = 140


@dataclass(frozen=True)
class Call:
    """One call of a dialog. `wait` says what the badge or the operation has to be before the next one."""

    who: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    says: str = ""


@dataclass(frozen=True)
class Dialog:
    """A dialog: what it is for, what has to be there before, and its calls in order."""

    title: str
    text: str
    calls: tuple[Call, ...]
    before: tuple[Call, ...] = field(default=())


def mapping(path: str, contract: int, line: int) -> Call:
    """Bill a subscription on a line."""
    return Call("mapper", "PUT", f"{path}/mapping", {"contractId": contract, "contractServiceId": line})


def product(sku: str, service: int, term: str = "P1Y") -> Call:
    """Bill a product, monthly, as a service."""
    body = {"product": sku, "termDuration": term, "billingCycle": "monthly", "serviceId": service}
    return Call("mapper", "PUT", "/mappings/products", body)


def many(path: str, action: str) -> dict[str, str]:
    """An item of a bulk about the subscription with a path."""
    _, _, customer, _, subscription = path.split("/")
    return {"customerId": customer, "subscriptionId": subscription, "action": action}


DIALOGS = (
    Dialog(
        "Fewer seats",
        "What can be given back until when, and what the bill becomes.",
        (
            Call("reader", "GET", f"{FRESH}/preview/change-quantity?quantity=21"),
            Call("operator", "POST", f"{FRESH}/change-quantity", {"quantity": 21, "expect": {"quantity": 25}}),
        ),
        (mapping(FRESH, 29747643, 8001),),
    ),
    Dialog(
        "Renewal",
        "What happens at the renewal; what is scheduled can be shown, changed and removed.",
        (
            Call("reader", "GET", f"{FRESH}/preview/schedule-renewal?quantity=15"),
            Call("operator", "PUT", f"{FRESH}/renewal", {"quantity": 15}),
            Call("reader", "GET", f"{FRESH}/renewal"),
        ),
    ),
    Dialog(
        "Suspend and reactivate",
        "The partner goes on paying Microsoft while the customer is not billed. What is lost by it is named and has to "
        "be confirmed; reactivating brings it back.",
        (
            Call("reader", "GET", f"{FRESH}/preview/suspend"),
            Call("operator", "POST", f"{FRESH}/suspend", {}, "428"),
            Call("operator", "POST", f"{FRESH}/suspend", {"confirmLosses": True}),
            Call("reader", "GET", f"{FRESH}/preview/reactivate"),
            Call("operator", "POST", f"{FRESH}/reactivate", {}),
        ),
    ),
    Dialog(
        "Upgrade",
        "All eligible options, what one of them will do, and the upgrade itself, which goes on at Microsoft after the "
        "answer.",
        (
            Call("reader", "GET", f"{FRESH}/upgrade/options"),
            Call("reader", "GET", f"{FRESH}/preview/upgrade?target={PREMIUM}&quantity=5"),
            Call(
                "operator",
                "POST",
                f"{FRESH}/upgrade",
                {"target": PREMIUM, "quantity": 5, "confirm": True, "confirmLosses": True},
            ),
        ),
        (product("CFQ7TTC0LCHC:0002", 678),),
    ),
    Dialog(
        "Cancel",
        "The time that remains, the seats of each batch, the estimated refund; outside the window, what remains "
        "possible.",
        (
            Call("reader", "GET", f"{CLOSED}/preview/cancel"),
            Call("operator", "POST", f"{CLOSED}/cancel", {}, "409"),
            Call("reader", "GET", f"{FRESH}/preview/cancel"),
            Call("operator", "POST", f"{FRESH}/cancel", {"expect": {"status": "active"}}),
        ),
    ),
    Dialog(
        "Migrate",
        "Legacy subscriptions only: every term and billing frequency by Microsoft's own validation, then the migration "
        "with its add-ons.",
        (
            Call("reader", "GET", f"{LEGACY}/migrate/options"),
            Call("reader", "GET", f"{LEGACY}/preview/migrate?termDuration=P1Y&billingCycle=monthly"),
            Call(
                "operator",
                "POST",
                f"{LEGACY}/migrate",
                {"termDuration": "P1Y", "billingCycle": "monthly", "confirm": True},
            ),
        ),
        (mapping(LEGACY, 29747644, 8101), product("CFQ7TTC0LH16:0001", 677)),
    ),
    Dialog(
        "Mapping at a purchase",
        "What is known already is filled in, what is missing is named; then customer, product, contract and a new line "
        "in one call.",
        (
            Call("mapper", "GET", "/autotask/companies?prefix=fabri"),
            Call("mapper", "POST", f"{SCHEDULED}/mapping/preview", {"includeDisqualified": True}),
            Call("mapper", "POST", f"{SCHEDULED}/mapping/preview", {"companyId": 29683617, "serviceId": 678}),
            Call(
                "mapper",
                "PUT",
                f"{SCHEDULED}/mapping",
                {"companyId": 29683617, "contractId": 29747644, "serviceId": 678, "mapProduct": True},
            ),
        ),
        (Call("mapper", "DELETE", f"/mappings/customers/{FABRIKAM}"),),
    ),
    Dialog(
        "Many subscriptions at once",
        "One request, answered at once; a little later the outcome of each item, and by pages what became of the "
        "operations.",
        (
            Call("operator", "POST", "/bulk", {"items": [many(CLOSED, "auto-renew-off"), many(FRESH, "suspend")]}),
            Call("reader", "GET", f"/bulk/{BULK}"),
            Call("reader", "GET", f"/bulk/{BULK}/items?pageSize=1"),
        ),
    ),
    Dialog(
        "Synchronise",
        "One customer now, with what changed; and all of them, which is answered at once and worked off by the tick.",
        (
            Call("operator", "POST", f"/customers/{FABRIKAM}/sync", {}),
            Call("operator", "POST", "/sync/runs", {}),
        ),
    ),
    Dialog(
        "Undo on the bill",
        "What would be billed without an operation, with its dates and money; then the undo, which is an operation of "
        "its own. Microsoft is not touched.",
        (
            Call("operator", "POST", f"{SCHEDULED}/change-quantity", {"quantity": 12, "confirmLosses": True}),
            Call("deadletters", "GET", UNDO),
            Call("deadletters", "POST", UNDO, {}, "428"),
            Call("deadletters", "POST", UNDO, {"confirm": True, "reason": "the order was withdrawn"}),
        ),
        (mapping(SCHEDULED, 29747644, 8102),),
    ),
    Dialog(
        "Reconciliation",
        "All mapped lines are read in the background; then what is not billed as it should be, who moved it, and what "
        "that makes a month. A finding is accepted or corrected by naming the reading that was looked at.",
        (
            Call("deadletters", "POST", "/reconciliation"),
            Call("deadletters", "GET", "/reconciliation"),
        ),
    ),
)


@dataclass(frozen=True)
class Asked:
    """A call and what it was answered."""

    call: Call
    status: int
    body: Any


def ask_all(stack: Stack) -> Iterator[tuple[Dialog, list[Asked]]]:
    """Ask every dialog of a stack, each call when the one before has come to rest."""
    numbers = iter(range(1, 1000))
    clients = {
        name: httpx.Client(
            base_url=stack.ready["api"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
            event_hooks={"response": [conforming.require]},
        )
        for name, token in stack.ready["tokens"].items()
    }
    bulk = ""
    for dialog in DIALOGS:
        for call in dialog.before:
            _ask(clients, call, next(numbers)).raise_for_status()
        asked = []
        for call in dialog.calls:
            if (call.method, call.path) == RECONCILE:  # once every line is quiet for long enough to be judged
                _until(lambda: _reconciled(clients)["unsettledLines"] == 0)
            answer = _ask(clients, replace(call, path=call.path.replace(BULK, bulk)), next(numbers))
            if (call.method, call.path) == ("POST", "/bulk"):
                bulk = answer.json()["id"]
                _until(lambda: clients["reader"].get(f"/bulk/{bulk}").json()["status"] == "finished")  # noqa: B023 - used at once
            if (call.method, call.path) == RECONCILE:
                _finished(clients)
            asked.append(Asked(call, answer.status_code, answer.json()))
            operation = asked[-1].body.get("operation") if isinstance(asked[-1].body, dict) else None
            if answer.status_code < 300 and operation:
                _until(lambda: clients["reader"].get(f"/operations/{operation['id']}").json()["atRest"])  # noqa: B023 - used at once
                if not call.path.startswith("/customers"):
                    continue
                path = call.path.rpartition("/")[0]
                _until(lambda: clients["reader"].get(path).json()["badge"] != "pending")  # noqa: B023 - used at once
        yield dialog, asked
    for client in clients.values():
        client.close()


def _reconciled(clients: dict[str, httpx.Client]) -> dict[str, Any]:
    """A further run, when it is over."""
    clients["deadletters"].post("/reconciliation").raise_for_status()
    return _finished(clients)


def _finished(clients: dict[str, httpx.Client]) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        found: dict[str, Any] = clients["deadletters"].get("/reconciliation").json()["run"]
        return found

    _until(lambda: run()["status"] == "finished")
    return run()


def _ask(clients: dict[str, httpx.Client], call: Call, number: int) -> httpx.Response:
    headers = {} if call.method == "GET" else {"Idempotency-Key": f"dialog-{number}"}
    return clients[call.who].request(call.method, call.path, json=call.body, headers=headers)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("an operation of a dialog did not come to rest")
        time.sleep(0.2)


def options() -> StackOptions:
    """A stack whose seed nobody has touched."""
    return StackOptions(storage_in_memory=True, first_sync=False, settings=SETTINGS)


def markdown(dialogs: Iterator[tuple[Dialog, list[Asked]]]) -> str:
    """The dialogs as they stand in the document."""
    parts = []
    for dialog, asked in dialogs:
        parts.append(f"### {dialog.title}\n\n{dialog.text}\n")
        for each in asked:
            body = f"\n\n{json.dumps(each.call.body)}" if each.call.body is not None else ""
            key = "" if each.call.method == "GET" else "\nIdempotency-Key: a key of your own"
            parts.append(f"```http\n{each.call.method} /api{each.call.path}{key}{body}\n```\n")
            parts.append(f"`{each.status}`\n\n```json\n{pretty(short(each.body))}\n```\n")
    return "\n".join(parts).rstrip()


def short(value: Any) -> Any:
    """A document with its lists cut to what a reader needs to see."""
    if isinstance(value, list):
        shown = [short(item) for item in value[:_LONGEST]]
        return (
            [*shown, f"… {len(value) - _LONGEST} more"]
            if len(value) > _LONGEST + 1
            else [short(item) for item in value]
        )
    return {name: short(item) for name, item in value.items()} if isinstance(value, dict) else value


def pretty(value: Any, indent: str = "") -> str:
    """JSON whose short objects stand on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + len(indent) <= _LINE or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{deeper}{json.dumps(name)}: {pretty(item, deeper)}" for name, item in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + pretty(item, deeper) for item in value) + f"\n{indent}]"


_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|\+00:00)?)?"), "<moment>"),
    (re.compile(r"P\d+DT\d+H\d+M\d+S"), "<duration>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b\d{8}T\d{6}-[0-9a-f]{8}\b"), "<id>"),
)


def masked(value: Any) -> Any:
    """A document without what differs from run to run."""
    if isinstance(value, dict):
        return {name: masked(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    if isinstance(value, float):
        return "<share>"
    if isinstance(value, str):
        for pattern, mask in _MASKS:
            value = pattern.sub(mask, value)
    return value


def shown(document: str) -> list[tuple[int, Any]]:
    """The answers that a document shows: status and body."""
    blocks = re.findall(r"^`(\d{3})`\n\n```json\n(.*?)\n```$", document, re.MULTILINE | re.DOTALL)
    return [(int(status), json.loads(body)) for status, body in blocks]
