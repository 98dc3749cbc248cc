"""Who was refused, and who changed what, is in the log: one line each, and nothing personal or secret in it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from tests.security.conftest import Entra
from tests.spine.world import World, eventually

NAME = "Maria Bergström"


def lines(world: World, containing: str) -> list[str]:
    text = (Path(world.stack.ready["logs"]) / "host.log").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if containing in line]


def events(world: World, event: str, **fields: str) -> list[dict[str, Any]]:
    """The lines of an event with these fields, parsed."""
    found = [json.loads(line) for line in lines(world, f'"event": "{event}"')]
    return [line for line in found if fields.items() <= line.items()]


def test_a_refusal_is_one_line_with_reason_function_and_caller(world: World, entra: Entra) -> None:
    caller = str(uuid.uuid4())
    token = entra.token(oid=caller, name=NAME, roles=["Subscriptions.Read"])

    world.anonymous.post("/customers/x/subscriptions/y/cancel", headers={"Authorization": f"Bearer {token}"})

    (line,) = eventually(lambda: events(world, "refused", caller=caller), bool)
    assert (line["reason"], line["function"]) == ("forbidden", "cancel")
    assert line["total"] >= 1
    assert len(lines(world, caller)) == 1


def test_refusals_are_counted_by_reason(world: World, entra: Entra) -> None:
    def totals() -> list[int]:
        return [line["total"] for line in events(world, "refused", reason="unauthenticated_audience")]

    before = max(totals(), default=0)
    for _ in range(3):
        world.anonymous.get("/customers", headers=entra.bearer(audience="api://counted"))

    assert eventually(totals, lambda seen: max(seen, default=0) >= before + 3)[-3:] == [
        before + 1,
        before + 2,
        before + 3,
    ]


def test_a_change_is_one_line_that_says_who(world: World) -> None:
    caller = str(uuid.uuid4())
    answer = world.clients["access"].put(f"/access/{caller}", json={"customers": []}).raise_for_status()

    def written() -> list[dict[str, Any]]:
        return events(world, "called", function="put_access", caller=answer.json()["changedBy"])

    assert eventually(written, bool)[-1]["status"] == 200
    world.clients["access"].delete(f"/access/{caller}")


def test_a_caller_cannot_write_lines_of_the_log(world: World, entra: Entra) -> None:
    mark = uuid.uuid4().hex
    forged = f"x%0Arefused%20reason=nothing%20{mark}%0D%0A"
    headers = entra.bearer(name=f"{mark}\nforged", oid=str(uuid.uuid4()))
    headers["traceparent"] = f"00-{mark}-forged"

    for path in (f"/customers/{forged}/subscriptions", f"/operations/{forged}", f"/dead-letters/{forged}"):
        world.anonymous.get(path, headers=headers)
    world.anonymous.put(f"/mappings/customers/{forged}", headers=headers, json={f"{mark}\n": mark})
    world.anonymous.get("/customers", headers={"Authorization": f"Bearer {mark}"})
    world.anonymous.get("/customers")

    eventually(lambda: lines(world, "unauthenticated_no_token"), bool)
    assert lines(world, mark) == []


def test_neither_tokens_nor_names_are_in_the_log(world: World, entra: Entra) -> None:
    token = entra.token(name=NAME, oid=str(uuid.uuid4()), audience="api://elsewhere")
    world.anonymous.get("/customers", headers={"Authorization": f"Bearer {token}"})
    whole = entra.token(name=NAME, oid=str(uuid.uuid4()))
    world.anonymous.get("/customers", headers={"Authorization": f"Bearer {whole}"})

    text = (Path(world.stack.ready["logs"]) / "host.log").read_text(encoding="utf-8")

    assert NAME not in text
    assert not any(part in text for part in (*token.split("."), *whole.split(".")))
