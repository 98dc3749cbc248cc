"""Makes the parts of the documentation that come from code: the rules table and the diagram of states.

`python -m tests.documents` writes them; `test_generated.py` fails where a document differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from shared.domain.actions import Action, Allowed, AlreadyDone, Decision, decide
from shared.domain.operation import LEG_TRANSITIONS, PARTNER_TRANSITIONS, LegStatus, PartnerStatus
from shared.domain.subscription import Family, SeatBatch, State, Subscription
from tests.supply.licences import development_table, npm_table, runtime_table

DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)
ASKED = (
    ("suspend", Action.SUSPEND, None),
    ("reactivate", Action.REACTIVATE, None),
    ("more seats", Action.CHANGE_QUANTITY, 12),
    ("fewer seats", Action.CHANGE_QUANTITY, 8),
    ("cancel", Action.CANCEL, None),
    ("upgrade", Action.UPGRADE, None),
    ("migrate", Action.MIGRATE, None),
    ("schedule a migration", Action.SCHEDULE_MIGRATION, None),
    ("cancel its schedule", Action.CANCEL_MIGRATION_SCHEDULE, None),
    ("schedule the renewal", Action.SCHEDULE_RENEWAL, None),
    ("remove the schedule", Action.REMOVE_SCHEDULE, None),
    ("auto-renew on", Action.AUTO_RENEW_ON, None),
    ("auto-renew off", Action.AUTO_RENEW_OFF, None),
)


def example(family: Family, state: State, *, window_open: bool) -> Subscription:
    """A subscription of ten seats with its windows open or closed, auto-renew on, and something scheduled."""
    until = NOW + timedelta(days=3) if window_open else NOW - timedelta(days=3)
    return Subscription(
        customer_id="c",
        id="s",
        offer_id="o",
        offer_name="",
        friendly_name="",
        family=family,
        is_trial=family is Family.TRIAL,
        status_raw=state.value,
        state=state,
        quantity=10,
        unit_type="Licenses",
        auto_renew=True,
        term_duration="P1Y",
        billing_cycle="monthly",
        creation_date=NOW,
        effective_start=NOW,
        commitment_end=NOW + timedelta(days=300),
        cancel_until=until if family in {Family.NCE_LICENSE, Family.SOFTWARE} else None,
        refundable=(SeatBatch(10, until),) if state is State.ACTIVE and family is Family.NCE_LICENSE else None,
        parent_id=None,
        promotion_id=None,
        order_id="",
        product_key="p",
        schedule='{"quantity":9}' if family in {Family.NCE_LICENSE, Family.TRIAL} else "",
    )


def word(decision: Decision) -> str:
    """A decision in a table's cell."""
    match decision:
        case Allowed():
            return "yes"
        case AlreadyDone():
            return "already so"
        case _:
            return f"`{decision.code}`"


def rules_table() -> str:
    """The rules table as Markdown."""
    head = "| Family | State | Window | " + " | ".join(name for name, _, _ in ASKED) + " |"
    lines = [head, "|---" * (3 + len(ASKED)) + "|"]
    for family in Family:
        rows = {state: {is_open: _cells(family, state, is_open) for is_open in (True, False)} for state in State}
        if len({cells for row in rows.values() for cells in row.values()}) == 1:
            lines.append(f"| {family.value} | any | any | {rows[State.ACTIVE][True]} |")
            continue
        for state, row in rows.items():
            if row[True] == row[False]:
                lines.append(f"| {family.value} | {state.value} | any | {row[True]} |")
            else:
                lines.append(f"| {family.value} | {state.value} | open | {row[True]} |")
                lines.append(f"| {family.value} | {state.value} | closed | {row[False]} |")
    return "\n".join(lines)


def _cells(family: Family, state: State, window_open: bool) -> str:  # noqa: FBT001 - a coordinate of the table
    subscription = example(family, state, window_open=window_open)
    return " | ".join(word(decide(action, subscription, NOW, seats)) for _, action, seats in ASKED)


def leg_states() -> str:
    """The diagram of an Autotask leg's states as Markdown."""
    return diagram((LegStatus.HELD, LegStatus.REVIEW), LEG_TRANSITIONS)


def partner_states() -> str:
    """The diagram of the Partner Center leg's states as Markdown."""
    return diagram((PartnerStatus.PENDING,), PARTNER_TRANSITIONS)


Status = TypeVar("Status", bound=StrEnum)


def diagram(starts: tuple[Status, ...], transitions: Mapping[Status, frozenset[Status]]) -> str:
    """States and their transitions as a Mermaid diagram."""
    lines = ["```mermaid", "stateDiagram-v2", *(f"    [*] --> {start}" for start in starts)]
    for source, targets in transitions.items():
        lines += [f"    {source} --> {target}" for target in sorted(targets) if target is not source]
    ends = [source for source, targets in transitions.items() if not targets]
    return "\n".join([*lines, *(f"    {end} --> [*]" for end in ends), "```"])


PARTS = {
    ("rules.md", "rules"): rules_table,
    ("architecture.md", "partner-states"): partner_states,
    ("architecture.md", "states"): leg_states,
    ("licences.md", "runtime"): runtime_table,
    ("licences.md", "development"): development_table,
    ("licences.md", "npm"): npm_table,
}


def with_part(text: str, name: str, content: str) -> str:
    """A document with one generated part exchanged."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def expected() -> dict[Path, str]:
    """Every document with its generated parts as the code says."""
    texts: dict[Path, str] = {}
    for (file, name), make in PARTS.items():
        path = DOCS / file
        present = texts.get(path) or path.read_text(encoding="utf-8")
        texts[path] = with_part(present, name, make())
    return texts
