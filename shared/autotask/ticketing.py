"""Tickets: found by their external id, opened once, set to a status. Part of the client (`shared.autotask.client`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from shared.autotask.wire import Item, whole
from shared.domain.errors import Misconfigured, OutcomeUnknown, Refused, VendorError
from shared.domain.outcomes import AdjustmentRefused, AdjustOutcome, AdjustUnknown, Unsent
from shared.domain.tickets import Ticket

if TYPE_CHECKING:
    from datetime import datetime

    from shared.domain.tickets import TicketDraft
    from shared.transport import Reply


class Ticketing(ABC):
    """What a client does with tickets beside contracts."""

    @abstractmethod
    async def _page(self, entity: str, conditions: list[dict[str, Any]], size: int) -> list[Item]:
        """The first items, by id, that all conditions hold for."""

    @abstractmethod
    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, write_within: float | None = None
    ) -> Reply:
        """One call; a write is sent within so many seconds or not at all, and never repeated."""

    @abstractmethod
    def _outcome(self, reply: Reply) -> AdjustOutcome:
        """What the answer to a write means."""

    @abstractmethod
    def _seconds_until(self, deadline: datetime) -> float:
        """How much time is left."""

    async def ticket(self, external_id: str) -> Ticket | None:
        """The ticket with an external id; the oldest where there are several."""
        items = await self._page("Tickets", [{"op": "eq", "field": "externalID", "value": external_id}], 2)
        if any(item.get("externalID") != external_id for item in items):  # a filter that was dropped
            raise VendorError(200, "Tickets: rows that were not asked for")
        found = items[0] if items else None
        return (
            Ticket(whole(found, "id"), str(found.get("ticketNumber") or ""), whole(found, "status")) if found else None
        )

    async def open_ticket(self, draft: TicketDraft, deadline: datetime) -> int:
        """Open a ticket; its id. Nothing is sent after the deadline, nothing is repeated.

        Raises Refused (Autotask takes it not like that), RetryLater (certainly not executed), OutcomeUnknown.
        """
        body: dict[str, Any] = {
            "companyID": draft.company,
            "title": draft.title,
            "description": draft.description,
            "status": draft.status,
            "priority": draft.priority,
            "dueDateTime": draft.due.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "externalID": draft.external_id,
        }
        if draft.queue is not None:
            body["queueID"] = draft.queue
        reply = await self._call("POST", "Tickets", body, write_within=self._seconds_until(deadline))
        self._raise_for(reply)
        made = reply.json().get("itemId")
        if not isinstance(made, int) or isinstance(made, bool):
            raise OutcomeUnknown("a ticket was opened, but its id is not in the answer")
        return made

    async def set_ticket_status(self, ticket: int, status: int, deadline: datetime) -> None:
        """Set a ticket's status, and nothing else of it. Raises as `open_ticket`; repeating it does no harm."""
        body = {"id": ticket, "status": status}
        self._raise_for(await self._call("PATCH", "Tickets", body, write_within=self._seconds_until(deadline)))

    def _raise_for(self, reply: Reply) -> None:
        outcome = self._outcome(reply)
        if isinstance(outcome, AdjustmentRefused):
            raise Refused("autotask_refused", "; ".join(outcome.errors), status=409)
        if isinstance(outcome, Unsent):
            raise Misconfigured(outcome.reason)
        if isinstance(outcome, AdjustUnknown):
            raise OutcomeUnknown(outcome.reason)
