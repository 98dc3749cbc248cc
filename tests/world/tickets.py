"""Autotask's service desk in memory: tickets with an external id, faults before or after the effect, and a lag."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.errors import OutcomeUnknown, Refused, RetryLater
from shared.domain.tickets import Ticket, TicketDraft
from tests.world.clock import Clock


class TicketFault(StrEnum):
    """What goes wrong with one creation."""

    LOST = "lost"  #: no answer, no effect
    ANSWER_LOST = "answer_lost"  #: the effect, but no answer
    REFUSED = "refused"
    AWAY = "away"


@dataclass(frozen=True)
class Made:
    """A ticket and when it was made."""

    ticket: Ticket
    draft: TicketDraft
    at: datetime


class Tickets:
    """The tickets of one tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.made: list[Made] = []
        self.faults: list[TicketFault] = []
        self.lag = timedelta()

    async def ticket(self, external_id: str) -> Ticket | None:
        shown = [one for one in self.made if one.at + self.lag <= self._clock.now()]
        return next((one.ticket for one in shown if one.draft.external_id == external_id), None)

    async def open_ticket(self, draft: TicketDraft, deadline: datetime) -> int:
        if self._clock.now() >= deadline:
            raise RetryLater("no time was left")
        fault = self.faults.pop(0) if self.faults else None
        match fault:
            case TicketFault.AWAY:
                raise RetryLater("Autotask does not answer")
            case TicketFault.REFUSED:
                raise Refused("autotask_refused", "Missing Required Field: queueID", status=409)
            case TicketFault.LOST:
                raise OutcomeUnknown("no answer")
        number = 128_926 + len(self.made)
        ticket = Ticket(number, f"T20260310.{number % 10_000:04d}", draft.status)
        self.made.append(Made(ticket, draft, self._clock.now()))
        if fault is TicketFault.ANSWER_LOST:
            raise OutcomeUnknown("no answer")
        return number

    async def set_ticket_status(self, ticket: int, status: int, deadline: datetime) -> None:
        if not any(one.ticket.id == ticket for one in self.made):
            raise Refused("autotask_refused", f"Unable to find Ticket with id {ticket}.", status=409)
        self.made = [
            replace(one, ticket=replace(one.ticket, status=status)) if one.ticket.id == ticket else one
            for one in self.made
        ]
