"""Tickets in Autotask about what needs a person: each once, found again by its external id, closed when it is healed.

Our row says what was asked for before it is asked for. A ticket is looked up before it is opened; after a lost answer
nothing is opened until it would have shown (docs/adr/0042).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from shared import telemetry
from shared.domain.errors import CspError, OutcomeUnknown, Refused, RetryLater
from shared.domain.operation import Address, Operation
from shared.domain.reconciliation import Finding
from shared.domain.tickets import OurTicket, TicketDraft, TicketState, draft
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App

log = logging.getLogger(__name__)

_PAGE = 100
_STINT = timedelta(seconds=60)
_REFUSED = timedelta(hours=1)  # after which a ticket that was refused is asked for again
_LIVING = (TicketState.OPENING, TicketState.OPEN, TicketState.REFUSED)


async def keep_tickets(app: App) -> Counter[str]:
    """Open the tickets that are missing, where the setting says so, and close those of what is healed."""
    counts: Counter[str] = Counter()
    stop_at = app.now() + _STINT
    if app.ticketing.automatic:
        await _open_missing(app, counts, stop_at=app.now() + _STINT / 2)
    for state in _LIVING:
        mark: str | None = None
        while app.now() < stop_at:
            tickets, mark = await app.desk.tickets(state, _PAGE, mark)
            for stored in tickets:
                if not await _needs_a_person(app, stored.value):
                    await _tried(counts, stored.value.about, partial(close, app, stored))
            if mark is None:
                break
    return counts


async def _open_missing(app: App, counts: Counter[str], *, stop_at: datetime) -> None:
    after: str | None = None
    while app.now() < stop_at:
        views = await app.views.dead_letters_after(after, _PAGE)
        for view in views:
            address = Address.parse(view.operation)
            stored = await app.ledger.operation(address)
            if stored is not None and stored.value.dead:
                await _tried(counts, view.operation, partial(about_operation, app, stored.value))
        if len(views) < _PAGE:
            return
        after = views[-1].operation


async def _tried(counts: Counter[str], about: str, job: Callable[[], Awaitable[OurTicket]]) -> None:
    """Do one thing; what fails is told and tried again by the next run."""
    try:
        counts[(await job()).state.value] += 1
    except WriteConflict:
        counts["conflict"] += 1  # another instance is at it
    except CspError as error:
        counts["failed"] += 1
        telemetry.tell(log, "ticket_failed", level=logging.WARNING, error=error, about=about)


async def about_operation(app: App, operation: Operation) -> OurTicket:
    """The ticket about a dead operation, opened if it is not open. Raises Refused, RetryLater, Misconfigured."""
    address = operation.address
    reasons = [leg.reason for leg in operation.legs if leg.reason is not None]
    code = reasons[0].code if reasons else "dead"
    title = f"CSP billing: {operation.kind.value.replace('_', ' ')} not billed ({code})"
    parts = []
    for reason in reasons:
        said = f"Autotask said: {reason.vendor_text}" if reason.vendor_text else ""
        parts += [reason.sentence, said, f"What helps: {reason.remedy}" if reason.remedy else ""]
    known = OurTicket(str(address), address.customer, None, TicketState.OPENING)
    return await _open(app, known, title, tuple(parts))


async def about_finding(app: App, finding: Finding) -> OurTicket:
    """The ticket about a line that a reconciliation found, opened if it is not open. Raises as `about_operation`."""
    title = f"CSP billing: contract {finding.contract}, line {finding.line} is not billed as it should be"
    money = "" if finding.monthly is None else f"That makes {finding.monthly} a month."
    known = OurTicket(_about(finding), finding.customer, finding.line, TicketState.OPENING)
    return await _open(app, known, title, (finding.sentence, money))


def _about(finding: Finding) -> str:
    """What the ticket about a finding is about: the line as it was read, so that another reading is another ticket."""
    return f"line_{finding.customer}_{finding.line}_{finding.reading}"


async def _open(app: App, known: OurTicket, title: str, paragraphs: tuple[str, ...]) -> OurTicket:
    stored = await app.desk.ticket(known.about) or Stored(known, None)
    ticket = stored.value
    waits = ticket.not_before is not None and app.now() < ticket.not_before
    if ticket.state is TicketState.OPEN or waits:
        return ticket
    if ticket.id is not None:  # it was closed; what it is about needs a person again
        return await _set(app, stored, TicketState.OPEN, app.ticketing.open_status)
    found = await app.tickets.ticket(ticket.external_id)
    if found is not None:
        return await _keep(app, stored, replace(ticket, state=TicketState.OPEN, id=found.id, number=found.number))
    if ticket.send_by is not None and app.now() < ticket.send_by + app.times.settle:
        return ticket  # a lost request may still show
    company = await _company(app, ticket.customer)
    return await _ask(app, stored, draft(app.ticketing, ticket.about, company, title, paragraphs, app.now()))


async def _ask(app: App, stored: Stored[OurTicket], wanted: TicketDraft) -> OurTicket:
    """Store that it is asked for, then ask once."""
    deadline = app.now() + app.times.autotask_timeout
    asked = replace(stored.value, state=TicketState.OPENING, send_by=deadline, not_before=None, problem="")
    stored = await app.desk.save_ticket(Stored(asked, stored.etag))
    try:
        made = await app.tickets.open_ticket(wanted, deadline)
    except OutcomeUnknown:
        return stored.value
    except RetryLater:
        await app.desk.save_ticket(Stored(replace(asked, send_by=None), stored.etag))
        raise
    except Refused as error:
        refused = replace(
            asked,
            state=TicketState.REFUSED,
            send_by=None,
            not_before=app.now() + _REFUSED,
            problem=error.sentence,
        )
        await app.desk.save_ticket(Stored(refused, stored.etag))
        raise
    return await _keep(app, stored, replace(asked, state=TicketState.OPEN, id=made, send_by=None))


async def close(app: App, stored: Stored[OurTicket]) -> OurTicket:
    """Close the ticket of something that needs nobody any more."""
    ticket = stored.value
    if ticket.id is not None:
        return await _set(app, stored, TicketState.CLOSED, app.ticketing.closed_status)
    found = await app.tickets.ticket(ticket.external_id)
    if found is not None:
        return await _set(
            app,
            Stored(replace(ticket, id=found.id, number=found.number), stored.etag),
            TicketState.CLOSED,
            app.ticketing.closed_status,
        )
    if ticket.send_by is not None and app.now() < ticket.send_by + app.times.settle:
        return ticket
    return await _keep(app, stored, replace(ticket, state=TicketState.CLOSED, send_by=None))


async def _set(app: App, stored: Stored[OurTicket], state: TicketState, status: int) -> OurTicket:
    """Set the status in Autotask first: doing it twice does no harm, and not doing it would."""
    ticket = stored.value
    if ticket.id is None:
        return ticket
    await app.tickets.set_ticket_status(ticket.id, status, app.now() + app.times.autotask_timeout)
    return await _keep(app, stored, replace(ticket, state=state, send_by=None))


async def _keep(app: App, stored: Stored[OurTicket], ticket: OurTicket) -> OurTicket:
    kept = (await app.desk.save_ticket(Stored(ticket, stored.etag))).value
    telemetry.tell(log, "ticket", about=ticket.about, customer=ticket.customer, state=ticket.state.value, id=ticket.id)
    return kept


async def _needs_a_person(app: App, ticket: OurTicket) -> bool:
    if ticket.line is not None:
        finding = await app.desk.finding(ticket.customer, ticket.line)
        return finding is not None and _about(finding) == ticket.about
    stored = await app.ledger.operation(Address.parse(ticket.about))
    return stored is not None and stored.value.dead


async def _company(app: App, customer: str) -> int:
    if app.ticketing.company is not None:
        return app.ticketing.company
    mapping = await app.mappings.customer(customer)
    if mapping is None:
        sentence = f"Customer {customer} is mapped to no company, and TICKET_COMPANY_ID names none."
        raise Refused("no_company_for_ticket", sentence, status=409)
    return mapping.company
