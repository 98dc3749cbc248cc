"""Migrations of legacy subscriptions to new commerce at Partner Center, and their schedules.

Reads raise the errors of `shared.domain.errors`. A write is never repeated here; whatever is not clearly taken, busy or
refused is `Unknown`, to be settled by a query before anything is sent again (reference 11.2).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.errors import Malformed, Misconfigured, NotFound, RetryLater
from shared.domain.migration import Migration, MigrationOption, MigrationRequest, MigrationSchedule, ScheduleRequest
from shared.domain.outcomes import (
    AlreadyMigrating,
    Busy,
    CancelScheduleOutcome,
    ChangeRefused,
    Listing,
    MigrationOutcome,
    MigrationStarted,
    ScheduleCancelled,
    Scheduled,
    ScheduleOutcome,
    Unknown,
)
from shared.domain.reasons import Reason
from shared.partner_center.answers import json_of, not_done, parse_fault, ruled_out
from shared.partner_center.paging import Collection, everything, pages
from shared.partner_center.session import readable, segment, subscription_path
from shared.partner_center.wire_migrations import (
    ineligible,
    migration_body,
    parse_migration,
    parse_option,
    parse_schedule,
    schedule_body,
)
from shared.transport import Reply

if TYPE_CHECKING:
    from shared.partner_center.session import Session

_PAGE_SIZE = 300  # the largest that Partner Center gives here (reference 11.4)
_ALREADY = "900216"
_UNKNOWN_ID = "900224"


class Migrations:
    """The migrations of one partner's customers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def validate_migration(self, customer: str, request: MigrationRequest) -> MigrationOption:
        """Whether a subscription can be migrated like that; changes nothing, and says nothing of promotions.

        A refusal with a code that is about the subscription is an option that is not eligible, like any other.

        Raises:
            NotFound: the customer or the subscription is unknown.
        """
        reply = await self._session.ask(f"{_migrations(customer)}/validate", migration_body(request))
        failure = self._session.failure(reply, customer=customer, subscription=request.subscription)
        if isinstance(failure, Misconfigured) and (why := ruled_out(reply.status, reply.body)):
            return ineligible(request, Reason(why.code, why.text, why.sentence))
        if failure:
            raise failure
        option = parse_option(request, readable(reply))
        if option is None:
            raise RetryLater("a validation does not say whether the subscription is eligible")
        return option

    async def migrate(
        self, customer: str, request: MigrationRequest, *, request_id: str, deadline: datetime
    ) -> MigrationOutcome:
        """Start a migration, once; nothing is sent after `deadline`. It cannot be undone once it is completed.

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        reply = await self._session.write(
            "POST", _migrations(customer), migration_body(request), request_id=request_id, deadline=deadline
        )
        if not isinstance(reply, Reply):
            return reply
        if not _success(reply):
            return self._not_done(reply)
        try:
            return MigrationStarted(parse_migration(json_of(reply.body)))
        except Malformed as error:
            return Unknown(f"success, but {error}")

    async def migration(self, customer: str, id: str) -> Migration:  # noqa: A002 - an identifier is called id throughout
        """One migration.

        Raises:
            NotFound: the customer or the migration is unknown.
        """
        reply = await self._session.get(f"{_migrations(customer)}/{segment(id)}")
        if reply.status == 400 and parse_fault(reply.body).code == _UNKNOWN_ID:
            raise NotFound("migration", id)
        failure = self._session.failure(reply, customer=customer, subscription=id)
        if isinstance(failure, NotFound) and failure.what == "subscription":
            raise NotFound("migration", id)
        if failure:
            raise failure
        return parse_migration(readable(reply))

    async def migrations(
        self, customer: str, *, subscription: str | None = None, external_reference: str | None = None
    ) -> tuple[Migration, ...]:
        """All migrations of a customer, of one subscription, or with one reference of ours; running and ended ones."""
        found = await everything(
            self._session, _query("migrations/newcommerce", customer, subscription, external_reference)
        )
        return tuple(parse_migration(item) for item in found)

    async def schedule_migration(
        self, customer: str, request: ScheduleRequest, *, request_id: str, deadline: datetime
    ) -> ScheduleOutcome:
        """Have Microsoft migrate at a date or at the renewal, once; nothing is sent after `deadline`.

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        reply = await self._session.write(
            "POST", _schedules(customer), schedule_body(request), request_id=request_id, deadline=deadline
        )
        return self._scheduled(reply) if isinstance(reply, Reply) else reply

    async def migration_schedules(
        self, customer: str, *, subscription: str | None = None, external_reference: str | None = None
    ) -> tuple[MigrationSchedule, ...]:
        """All schedules of a customer, of one subscription, or with one reference of ours; cancelled ones too."""
        found = await everything(
            self._session, _query("migrations/newcommerce/schedules", customer, subscription, external_reference)
        )
        return tuple(parse_schedule(item) for item in found)

    async def change_migration_schedule(
        self,
        customer: str,
        id: str,  # noqa: A002 - an identifier is called id throughout
        request: ScheduleRequest,
        *,
        request_id: str,
        deadline: datetime,
    ) -> ScheduleOutcome:
        """Replace what a schedule says; its subscription cannot change. PUT: sending it again does no harm.

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        path = f"{_schedules(customer)}/{segment(id)}"
        reply = await self._session.write("PUT", path, schedule_body(request), request_id=request_id, deadline=deadline)
        return self._scheduled(reply) if isinstance(reply, Reply) else reply

    async def cancel_migration_schedule(
        self,
        customer: str,
        id: str,  # noqa: A002 - an identifier is called id throughout
        *,
        request_id: str,
        deadline: datetime,
    ) -> CancelScheduleOutcome:
        """Keep a schedule from starting its migration; any success counts, whatever its body.

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        path = f"{_schedules(customer)}/{segment(id)}/cancel"
        reply = await self._session.write("POST", path, None, request_id=request_id, deadline=deadline)
        if not isinstance(reply, Reply):
            return reply
        if _success(reply):
            return ScheduleCancelled()
        return not_done(reply.status, reply.body, retry_after=self._session.retry_after(reply))

    async def add_ons(self, customer: str, subscription: str) -> Listing:
        """The add-ons of a legacy base, as raw resources; not those of its add-ons.

        Raises:
            NotFound: the customer or the subscription is unknown.
        """
        path = f"{subscription_path(customer, subscription)}/addons"
        found = [page async for page in pages(self._session, Collection(path, {}, customer, subscription))]
        return Listing(tuple(item for page in found for item in page.items), found[0].observed_at)

    def _scheduled(self, reply: Reply) -> ScheduleOutcome:
        if not _success(reply):
            return self._not_done(reply)
        try:
            return Scheduled(parse_schedule(json_of(reply.body)))
        except Malformed as error:
            return Unknown(f"success, but {error}")

    def _not_done(self, reply: Reply) -> AlreadyMigrating | ChangeRefused | Busy | Unknown:
        fault = parse_fault(reply.body)
        if fault.code == _ALREADY and 400 <= reply.status < 500:
            return AlreadyMigrating(fault.text)
        return not_done(reply.status, reply.body, retry_after=self._session.retry_after(reply))


def _success(reply: Reply) -> bool:
    return 200 <= reply.status < 300


def _migrations(customer: str) -> str:
    return f"customers/{segment(customer)}/migrations/newcommerce"


def _schedules(customer: str) -> str:
    return f"{_migrations(customer)}/schedules"


def _query(path: str, customer: str, subscription: str | None, external_reference: str | None) -> Collection:
    """A bare array, page by page through a header."""
    named = {"CurrentSubscriptionId": subscription, "ExternalReferenceId": external_reference}
    query = {"CustomerTenantId": customer, "PageSize": str(_PAGE_SIZE)}
    return Collection(
        path, query | {name: value for name, value in named.items() if value is not None}, customer, bare=True
    )
