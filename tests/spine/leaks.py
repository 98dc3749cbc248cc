"""Looks for every secret that a stack uses, and for personal data, in everything that it left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from azure.data.tables import TableServiceClient

from local.entra.identities import REFRESH_TOKEN_EXPIRED, REFRESH_TOKEN_WITH_MFA, REFRESH_TOKEN_WITHOUT_MFA
from local.settings import ROLES
from tests.spine.broker import Broker
from tests.spine.observer import Observer
from tests.spine.world import World

_TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")

Evidence = dict[str, str]


def evidence(world: World) -> Evidence:
    """All text that the stack's processes, tables, queue and telemetry hold, and every problem, by where it is."""
    ready = world.stack.ready
    found = {f"log of {path.stem}": path.read_text("utf-8", "replace") for path in Path(ready["logs"]).glob("*.log")}
    with TableServiceClient.from_connection_string(ready["tables"]) as tables:
        for table in tables.list_tables():
            rows = [dict(row) for row in tables.get_table_client(table.name).list_entities()]
            found[f"table {table.name}"] = json.dumps(rows, default=str)
    with Broker(ready["serviceBus"], ready["queue"]) as broker:
        for place, messages in {"queue": broker.waiting(), "dead-letter queue": broker.dead()}.items():
            found[place] = "\n".join(
                f"{message.body.decode('utf-8', 'replace')} {message.properties}" for message in messages
            )
    with Observer(world.stack) as observer:
        found["spans"] = json.dumps(observer.spans())
        found["log records"] = json.dumps(observer.records())
        found["metrics"] = json.dumps(observer.points())
    found["problems"] = "\n".join(world.problems)
    return found


def secrets(ready: Mapping[str, Any]) -> dict[str, str]:
    """Every secret of a stack by what it is, from its ready file."""
    settings = ready["settings"]
    named = ("PARTNER_CENTER_CERTIFICATE_SECRET", "PARTNER_CENTER_REFRESH_TOKEN_SECRET")  # names in a vault, no secrets
    found = {name: settings[name] for name in settings if name.endswith(("_SECRET", "_CODE")) and name not in named}
    for name in ("serviceBus", "tables"):
        found |= {f"key of {name}": key for key in re.findall(r"Key=([^;]+)", ready[name])}
    for caller, token in ready["tokens"].items():
        found |= {f"token of {caller}, part {index}": part for index, part in enumerate(token.split(".")) if index}
    known = (REFRESH_TOKEN_WITH_MFA, REFRESH_TOKEN_WITHOUT_MFA, REFRESH_TOKEN_EXPIRED)
    return found | {f"refresh token {index}": token for index, token in enumerate(known)}


def personal(ready: Mapping[str, Any]) -> dict[str, str]:
    """The names of the people of a stack."""
    return {f"name of {name}": f"Local {name}" for name in ROLES} | {"user": ready["settings"]["AUTOTASK_USER"]}


def leaks(where: Evidence, known: Mapping[str, str]) -> Iterator[str]:
    """Each place with what is found there: something known, a token of anybody's, or an e-mail address."""
    for place, text in where.items():
        yield from (f"{place}: {what}" for what, value in known.items() if value in text)
        yield from (f"{place}: a token" for _ in _TOKEN.findall(text)[:1])
        yield from (f"{place}: {address}" for address in sorted(set(_EMAIL.findall(text)))[:5])


def left_behind(world: World) -> list[str]:
    """What must not be anywhere, and where it is."""
    ready = world.stack.ready
    return list(leaks(evidence(world), secrets(ready) | personal(ready)))
