"""Every row of every table that mentions a customer, found by looking at all of them (docs/adr/0045).

Only the deletion of a customer's data uses it. It knows of no index: whatever mentions the customer is found, also in
a table that was added later, and what it has no rule for is told and not passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.domain.desk_jobs import Resubmission
from shared.domain.mapping_import import Part
from shared.domain.sync_run import Listed, PageDone, PageList
from shared.storage import keys
from shared.storage.grants import Grant, GrantChange
from shared.storage.rows import Stored, from_row, text_of, to_row
from shared.storage.store import MAX_ROWS, TABLES, Delete, Insert, Replace, Row, TableStore, Write, WriteConflict

_PAGE = 1000
_KINDS = {
    "O:": "operations",
    "E:": "events",
    "L:": "lines",
    "H:": "heads",
    "K:": "idempotency keys",
}


@dataclass(frozen=True, slots=True)
class Mention:
    """A row that mentions the customer. `rest` is the row without it, None where the whole row is the customer's.

    `known` is False for a shared row that nobody has a rule for: it has to be looked at by a person.
    """

    table: str
    row: Row
    kind: str
    rest: Row | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What remains of a deletion: no name and no id, but a digest that somebody who has the id can compare."""

    digest: str
    reference: str
    began_at: datetime
    found: Mapping[str, int]
    ended_at: datetime | None = None


class Mentions:
    """The repository of mentions."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def of(self, customer: str) -> AsyncIterator[Mention]:
        """Every mention of a customer (lower-case id), table by table."""
        for table in TABLES:
            continuation: str | None = None
            while True:
                page = await self._store.page(table, partition=None, equals={}, size=_PAGE, continuation=continuation)
                for row in page.rows:
                    if _mentions(row, customer):
                        yield _mention(table, row, customer)
                continuation = page.continuation
                if continuation is None:
                    break

    async def remove(self, mentions: Sequence[Mention]) -> int:
        """Remove or rewrite what is known; says how many rows changed meanwhile and are left as they are."""
        groups: dict[tuple[str, str], list[Write]] = {}
        for mention in mentions:
            if mention.known:
                groups.setdefault((mention.table, mention.row.partition), []).append(_write(mention))
        left = 0
        for (table, _), writes in groups.items():
            for start in range(0, len(writes), MAX_ROWS):
                left += await self._together(table, writes[start : start + MAX_ROWS])
        return left

    async def _together(self, table: str, writes: Sequence[Write]) -> int:
        try:
            await self._store.write(table, writes)
        except WriteConflict:
            return 1 if len(writes) == 1 else sum([await self._together(table, [write]) for write in writes])
        return 0

    async def items_in(self, bulk_partition: str) -> int:
        """How many items a bulk has."""
        return len(await self._store.span("ledger", bulk_partition, *keys.bulk_items()))

    async def bulk_rows(self, bulk: str) -> list[Row]:
        """The row of a bulk, if it is there."""
        row = await self._store.get("ledger", keys.BULKS, keys.bulk(bulk))
        return [row] if row else []

    async def forgotten(self, customer: str, reference: str) -> Stored[Forgotten] | None:
        """What was noted of a deletion of this customer with this reference."""
        row = await self._store.get("coordination", keys.FORGOTTEN, keys.forgotten(digest_of(customer), reference))
        return from_row(Forgotten, row) if row else None

    async def note(self, forgotten: Stored[Forgotten]) -> Stored[Forgotten]:
        """Write it down. Raises WriteConflict where somebody else deletes the same."""
        key = keys.forgotten(forgotten.value.digest, forgotten.value.reference)
        row = to_row(keys.FORGOTTEN, key, forgotten.value, etag=forgotten.etag)
        (etag,) = await self._store.write("coordination", [Insert(row) if row.etag is None else Replace(row)])
        return Stored(forgotten.value, etag)


def digest_of(customer: str) -> str:
    """What stands for a deleted customer: SHA-256 of its id, in hexadecimal."""
    return hashlib.sha256(customer.encode()).hexdigest()


def _mentions(row: Row, customer: str) -> bool:
    texts = (row.partition, row.key, *(value for value in row.values.values() if isinstance(value, str)))
    return any(customer in text.lower() for text in texts)


def _write(mention: Mention) -> Write:
    row = mention.row
    return Delete(row.partition, row.key, row.etag) if mention.rest is None else Replace(mention.rest)


def _mention(table: str, row: Row, customer: str) -> Mention:
    if table == "ledger":
        return _in_ledger(row, customer)
    if table == "access":
        return _in_grants(row, customer)
    if table == "coordination":
        return _in_coordination(row, customer)
    if row.partition.startswith(keys.import_partition("")):
        return _rewritten("mappings", row, customer, "rows of imports", Part, _part_without(customer))
    own = customer in f"{row.partition} {row.key}" or row.values.get("customer") == customer
    kind = "alarms" if table == "alarms" else f"{table} {row.partition}" if table in {"mappings", "views"} else table
    return Mention(table, row, kind, known=own)


def _in_ledger(row: Row, customer: str) -> Mention:
    if row.partition == customer:
        return Mention("ledger", row, _KINDS.get(row.key[:2], "others of the ledger"))
    if row.partition == keys.DESK:
        return _at_the_desk(row, customer)
    return Mention("ledger", row, "bulk items", known=row.key.startswith("I:"))


def _at_the_desk(row: Row, customer: str) -> Mention:
    """Tickets go with their customer; a job keeps its counts, and forgets whom it was about."""
    if row.key.startswith("T:"):
        return Mention("ledger", row, "tickets")
    if text_of(row.values, "kind") != "resubmission":
        return Mention("ledger", row, "jobs of the desk", known=False)

    def without(job: Resubmission) -> Resubmission:
        named = job.wanted.customers
        wanted = replace(job.wanted, customers=frozenset(named - {customer}) if named is not None else None)
        problems = tuple(problem for problem in job.problems if customer not in problem.about)
        cursor = "" if customer in job.cursor else job.cursor
        return replace(job, wanted=wanted, problems=problems, cursor=cursor)

    rest = to_row(
        row.partition,
        row.key,
        without(from_row(Resubmission, row).value),
        etag=row.etag,
        kind="resubmission",
        finished=row.values.get("finished"),
    )
    return Mention("ledger", row, "jobs of the desk", rest, known=not _mentions(rest, customer))


def _in_grants(row: Row, customer: str) -> Mention:
    def without(grant: Grant) -> Grant:
        return replace(grant, customers=tuple(one for one in grant.customers if one != customer))

    def change_without(change: GrantChange) -> GrantChange:
        return replace(change, grant=without(change.grant) if change.grant else None)

    if row.values.get("kind") == "G":
        return _rewritten("access", row, customer, "grants", Grant, without)
    return _rewritten("access", row, customer, "changes of grants", GrantChange, change_without)


def _in_coordination(row: Row, customer: str) -> Mention:
    if row.partition == keys.SYNC and row.key.endswith(":list"):
        return _rewritten("coordination", row, customer, "pages of the last sync", PageList, _list_without(customer))
    if row.partition == keys.SYNC and row.key.endswith(":done"):
        return _rewritten("coordination", row, customer, "pages of the last sync", PageDone, _done_without(customer))
    if row.partition == keys.FACTS:  # where a timer goes on: without it, it begins again
        return Mention("coordination", row, "facts", replace(row, values={**row.values, "value": ""}))
    return Mention("coordination", row, f"coordination {row.partition}", known=customer in row.key)


def _list_without(customer: str) -> Callable[[PageList], PageList]:
    """The customer's place in the page stays, since the prints go by it; nobody has the empty id."""

    def without(page: PageList) -> PageList:
        customers = (Listed("", "", "") if item.id == customer else item for item in page.customers)
        return PageList(tuple(customers), tuple(text for text in page.unreadable if customer not in text.lower()))

    return without


def _part_without(customer: str) -> Callable[[Part], Part]:
    """The rows of an import that are about others; who asks for the rest finds fewer than there were."""

    def without(part: Part) -> Part:
        return replace(part, items=tuple(item for item in part.items if customer not in item.row.key))

    return without


def _done_without(customer: str) -> Callable[[PageDone], PageDone]:
    def without(page: PageDone) -> PageDone:
        gone = {name: value for name, value in page.gone.items() if name != customer}
        looked_at = {name: value for name, value in page.looked_at.items() if name != customer}
        return replace(page, gone=gone, looked_at=looked_at)

    return without


def _rewritten(table: str, row: Row, customer: str, kind: str, of: type[Any], without: Callable[[Any], Any]) -> Mention:
    extra = {"kind": text_of(row.values, "kind") or None}
    rest = to_row(row.partition, row.key, without(from_row(of, row).value), etag=row.etag, **extra)
    return Mention(table, row, kind, rest, known=not _mentions(rest, customer))
