"""A ticket in Autotask about something that needs a person: what it says, and what we know of it; pure.

Autotask has no idempotency key, but tickets can be found by `externalID`: ours follows from what the ticket is about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LONGEST_TITLE = 255  # of Autotask's ticket (Autotask reference 8.9)
LONGEST_DESCRIPTION = 8000


@dataclass(frozen=True, slots=True)
class TicketPolicy:
    """How tickets are made. `company` None: the company of the customer; `due` after the opening."""

    automatic: bool = False
    company: int | None = None
    queue: int | None = None
    priority: int = 2
    open_status: int = 1
    closed_status: int = 5
    due: timedelta = timedelta(hours=24)


NO_TICKETS = TicketPolicy()


@dataclass(frozen=True, slots=True)
class TicketDraft:
    """A ticket to be opened."""

    external_id: str
    company: int
    title: str
    description: str
    status: int
    priority: int
    queue: int | None
    due: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as Autotask has it."""

    id: int
    number: str
    status: int


class TicketState(StrEnum):
    """How far our ticket about something has come."""

    OPENING = "opening"  #: asked for; looked up by its external id before it is asked for again
    OPEN = "open"
    CLOSED = "closed"
    REFUSED = "refused"  #: Autotask takes it not as we make it; asked again later, when somebody may have corrected it


@dataclass(frozen=True, slots=True)
class OurTicket:
    """What we know of our ticket about an operation, or about a line that a reconciliation found."""

    about: str
    customer: str
    line: int | None
    state: TicketState
    id: int | None = None
    number: str = ""
    send_by: datetime | None = None  # the last moment at which our request may have been sent
    not_before: datetime | None = None
    problem: str = ""

    @property
    def external_id(self) -> str:
        """What the ticket is found by."""
        return external_id_of(self.about)


def external_id_of(about: str) -> str:
    """40 hexadecimal digits that name what a ticket is about."""
    return hashlib.sha256(about.encode()).hexdigest()[:40]


def draft(
    policy: TicketPolicy, about: str, company: int, title: str, paragraphs: Sequence[str], now: datetime
) -> TicketDraft:
    """The ticket about something, cut to what Autotask takes."""
    text = "\n\n".join(part for part in (*paragraphs, f"Reference: {about}") if part)
    return TicketDraft(
        external_id=external_id_of(about),
        company=company,
        title=title[:LONGEST_TITLE],
        description=text[:LONGEST_DESCRIPTION],
        status=policy.open_status,
        priority=policy.priority,
        queue=policy.queue,
        due=now + policy.due,
    )
