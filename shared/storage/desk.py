"""Jobs of the desk in the ledger's table, in a partition of their own: they concern many customers.

A job is one row: how far it has come is a cursor, so that it does not grow with what it is about.
"""

from __future__ import annotations

from typing import TypeVar

from shared.domain.desk_jobs import Job, Resubmission
from shared.domain.reconciliation import Finding, Reconciliation
from shared.domain.tickets import OurTicket, TicketState
from shared.storage import keys
from shared.storage.rows import Stored, from_row, text_of, to_row
from shared.storage.store import Delete, Insert, Replace, Row, Scalar, TableStore, Upsert

_TABLE = "ledger"
_KINDS: dict[str, type[Job]] = {"resubmission": Resubmission, "reconciliation": Reconciliation}

J = TypeVar("J", bound=Job)


class Desk:
    """The repository of jobs."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    async def add(self, job: J) -> Stored[J]:
        """Make a job real. Raises WriteConflict where there is one with its id."""
        (etag,) = await self._store.write(_TABLE, [Insert(_row(job))])
        return Stored(job, etag)

    async def save(self, stored: Stored[J]) -> Stored[J]:
        """Replace a job that was read. Raises WriteConflict."""
        (etag,) = await self._store.write(_TABLE, [Replace(_row(stored.value, stored.etag))])
        return Stored(stored.value, etag)

    async def get(self, identity: str) -> Stored[Job] | None:
        """A job of any kind."""
        row = await self._store.get(_TABLE, keys.DESK, keys.job(identity))
        return from_row(_KINDS[text_of(row.values, "kind")], row) if row else None

    async def job_of(self, kind: type[J], identity: str) -> Stored[J] | None:
        """A job of one kind; None where there is none, or one of another kind."""
        found = await self.get(identity)
        return Stored(found.value, found.etag) if found is not None and isinstance(found.value, kind) else None

    async def put_finding(self, finding: Finding) -> None:
        """Write what was found about a line."""
        key = keys.finding(finding.customer, finding.line)
        row = to_row(keys.FINDINGS, key, finding, customer=finding.customer, run=finding.run)
        await self._store.write("views", [Upsert(row)])

    async def drop_finding(self, customer: str, line: int) -> None:
        """Forget what was found about a line, if something was."""
        await self._store.write("views", [Delete(keys.FINDINGS, keys.finding(customer, line))])

    async def finding(self, customer: str, line: int) -> Finding | None:
        """What was found about a line."""
        row = await self._store.get("views", keys.FINDINGS, keys.finding(customer, line))
        return from_row(Finding, row).value if row else None

    async def findings(
        self, customer: str | None, size: int, continuation: str | None
    ) -> tuple[list[Finding], str | None]:
        """A page of what was found, about one customer's lines or all."""
        equals: dict[str, Scalar] = {"customer": customer} if customer else {}
        page = await self._store.page(
            "views", partition=keys.FINDINGS, equals=equals, size=size, continuation=continuation
        )
        return [from_row(Finding, row).value for row in page.rows], page.continuation

    async def ticket(self, about: str) -> Stored[OurTicket] | None:
        """Our ticket about something."""
        row = await self._store.get(_TABLE, keys.DESK, keys.ticket(about))
        return from_row(OurTicket, row) if row else None

    async def save_ticket(self, stored: Stored[OurTicket]) -> Stored[OurTicket]:
        """Write what we know of a ticket, under the etag it was read with. Raises WriteConflict."""
        ticket = stored.value
        row = to_row(keys.DESK, keys.ticket(ticket.about), ticket, etag=stored.etag, ticket=ticket.state.value)
        (etag,) = await self._store.write(_TABLE, [Insert(row) if row.etag is None else Replace(row)])
        return Stored(ticket, etag)

    async def tickets(
        self, state: TicketState, size: int, continuation: str | None
    ) -> tuple[list[Stored[OurTicket]], str | None]:
        """A page of our tickets that are in a state."""
        page = await self._store.page(
            _TABLE, partition=keys.DESK, equals={"ticket": state.value}, size=size, continuation=continuation
        )
        return [from_row(OurTicket, row) for row in page.rows], page.continuation


def _row(job: Job, etag: str | None = None) -> Row:
    kind = next(name for name, found in _KINDS.items() if isinstance(job, found))
    return to_row(keys.DESK, keys.job(job.id), job, etag=etag, kind=kind, finished=job.finished_at is not None)
