"""What the use cases need of the two vendors, as protocols; `shared.partner_center` and `shared.autotask` fulfil them.

Every method raises the errors of `shared.domain.errors`: `RetryLater`, `Misconfigured` (with `VendorError`),
`NotFound` and `Malformed` where it reads; outcomes are values where it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from shared.domain.contract import Company, Contract, ContractLine, Service, Threshold
    from shared.domain.listings import AuditPage, CustomerPage, Mark
    from shared.domain.migration import Migration, MigrationOption, MigrationRequest, MigrationSchedule, ScheduleRequest
    from shared.domain.outcomes import (
        AdjustOutcome,
        CancelScheduleOutcome,
        ChangeOutcome,
        Listing,
        MigrationOutcome,
        Reading,
        ScheduleOutcome,
        TransitionOutcome,
        UpgradeOutcome,
    )
    from shared.domain.planning import Adjustment
    from shared.domain.reading import UnitsRow
    from shared.domain.subscription import CustomerItem
    from shared.domain.tickets import Ticket, TicketDraft
    from shared.domain.upgrade import Transition, TransitionOption, TransitionRequest, UpgradeOption


class PartnerCenterPort(Protocol):
    """Microsoft Partner Center."""

    def microsoft_now(self) -> datetime:
        """Microsoft's clock as the last answer showed it, running on since; our own before the first answer."""
        ...

    def customers(self) -> AsyncIterator[list[CustomerItem]]:
        """All customers in pages; complete only if the iteration ends without an error."""
        ...

    async def subscriptions(self, customer: str) -> Listing:
        """All subscriptions of a customer; NotFound for an unknown customer."""
        ...

    async def subscription(self, customer: str, subscription: str) -> Reading:
        """One subscription with Microsoft's clock; NotFound for an unknown customer or subscription."""
        ...

    async def change(
        self, customer: str, subscription: str, body: dict[str, Any], *, request_id: str, deadline: datetime
    ) -> ChangeOutcome:
        """PATCH the whole raw resource; nothing is sent after the deadline, nothing is repeated."""
        ...


class SubscriptionListing(Protocol):
    """A customer's subscriptions as they were answered; parsed only when the items are asked for."""

    observed_at: datetime

    @property
    def fingerprint(self) -> str:
        """What names exactly this answer."""
        ...

    def items(self) -> tuple[dict[str, Any], ...]:
        """The raw resources; RetryLater where the answer is no collection."""
        ...


class ListingsPort(Protocol):
    """The listings of Partner Center, each request made once: whoever asks decides about repeating."""

    def microsoft_now(self) -> datetime:
        """Microsoft's clock as the last answer showed it, running on since; our own before the first answer."""
        ...

    async def customers(self, mark: Mark | None) -> CustomerPage:
        """A page of all customers: the first, or the one that a mark stands for."""
        ...

    async def subscriptions(self, customer: str) -> SubscriptionListing:
        """All subscriptions of a customer; NotFound for an unknown customer, Denied for one that is closed to us."""
        ...

    async def audit(self, first: date, last: date, mark: Mark | None) -> AuditPage:
        """A page of the audit records of whole days, both included."""
        ...


class SignaturesPort(Protocol):
    """Whether a webhook is Partner Center's."""

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if the body is signed by Partner Center; NotSigned where it is not, RetryLater where it is unclear."""
        ...


class TransitionsPort(Protocol):
    """Upgrades at Microsoft Partner Center.

    The reads also raise `Refused` where the subscription itself rules the question out, as a legacy one transitions.
    """

    async def transition_options(
        self, customer: str, subscription: str, *, scheduled: bool
    ) -> tuple[TransitionOption, ...]:
        """What a subscription can become, now or at its renewal; ineligible targets with their reasons."""
        ...

    async def transition(
        self, customer: str, subscription: str, request: TransitionRequest, *, request_id: str, deadline: datetime
    ) -> TransitionOutcome:
        """Start a transition; nothing is sent after the deadline, nothing is repeated."""
        ...

    async def transitions(
        self, customer: str, subscription: str, *, operation: str | None = None
    ) -> tuple[Transition, ...]:
        """The transitions of a subscription, all of them or that of one operation id."""
        ...

    async def upgrade_options(self, customer: str, subscription: str) -> tuple[UpgradeOption, ...]:
        """What a legacy subscription can be upgraded to."""
        ...

    async def upgrade(
        self, customer: str, subscription: str, option: UpgradeOption, *, request_id: str, deadline: datetime
    ) -> UpgradeOutcome:
        """Upgrade a legacy subscription, all seats; nothing is sent after the deadline, nothing is repeated."""
        ...


class MigrationsPort(Protocol):
    """Migration of legacy subscriptions at Microsoft Partner Center."""

    async def validate_migration(self, customer: str, request: MigrationRequest) -> MigrationOption:
        """Whether a subscription can be migrated like that; changes nothing."""
        ...

    async def migrate(
        self, customer: str, request: MigrationRequest, *, request_id: str, deadline: datetime
    ) -> MigrationOutcome:
        """Start a migration; nothing is sent after the deadline, nothing is repeated."""
        ...

    async def migration(self, customer: str, id: str) -> Migration:  # noqa: A002 - an identifier is called id throughout
        """One migration; NotFound "migration" for an unknown one."""
        ...

    async def migrations(
        self, customer: str, *, subscription: str | None = None, external_reference: str | None = None
    ) -> tuple[Migration, ...]:
        """All migrations of a customer, of one subscription, or with one reference of ours."""
        ...

    async def schedule_migration(
        self, customer: str, request: ScheduleRequest, *, request_id: str, deadline: datetime
    ) -> ScheduleOutcome:
        """Have Microsoft migrate at a date or at the renewal."""
        ...

    async def migration_schedules(
        self, customer: str, *, subscription: str | None = None, external_reference: str | None = None
    ) -> tuple[MigrationSchedule, ...]:
        """All schedules of a customer, of one subscription, or with one reference of ours; cancelled ones too."""
        ...

    async def change_migration_schedule(
        self,
        customer: str,
        id: str,  # noqa: A002 - an identifier is called id throughout
        request: ScheduleRequest,
        *,
        request_id: str,
        deadline: datetime,
    ) -> ScheduleOutcome:
        """Replace what a schedule says; its subscription cannot change."""
        ...

    async def cancel_migration_schedule(
        self,
        customer: str,
        id: str,  # noqa: A002 - an identifier is called id throughout
        *,
        request_id: str,
        deadline: datetime,
    ) -> CancelScheduleOutcome:
        """Keep a schedule from starting its migration."""
        ...

    async def add_ons(self, customer: str, subscription: str) -> Listing:
        """The add-ons of a legacy base, raw; not those of its add-ons."""
        ...


class AutotaskPort(Protocol):
    """Autotask PSA."""

    async def units(self, lines: Sequence[int]) -> dict[int, tuple[UnitsRow, ...]]:
        """The unit rows of up to 100 lines, by start date; every line asked for is in the answer."""
        ...

    async def contracts(self, ids: Iterable[int]) -> dict[int, Contract]:
        """The contracts that exist among `ids`."""
        ...

    async def contract_lines(self, contract: int) -> list[ContractLine]:
        """The lines of a contract."""
        ...

    async def line(self, id: int) -> ContractLine | None:  # noqa: A002 - an identifier is called id throughout
        """One line, None where Autotask does not know it."""
        ...

    async def services(self, ids: Iterable[int]) -> dict[int, Service]:
        """The catalogue's services that exist among `ids`."""
        ...

    async def companies(self, ids: Iterable[int]) -> dict[int, Company]:
        """The companies that exist among `ids`."""
        ...

    async def companies_by_name(self, prefix: str, limit: int = 20, after: int = 0) -> list[Company]:
        """The first companies by id, after one, whose name begins with `prefix`."""
        ...

    async def services_by_name(self, prefix: str, limit: int = 20, after: int = 0) -> list[Service]:
        """The first services by id, after one, whose name begins with `prefix`."""
        ...

    async def contracts_of(self, companies: Iterable[int]) -> list[Contract]:
        """The contracts of some companies, by id."""
        ...

    async def lines_of(self, contracts: Iterable[int]) -> list[ContractLine]:
        """The lines of some contracts, by id."""
        ...

    async def lines(self, ids: Iterable[int]) -> dict[int, ContractLine]:
        """The lines that exist among `ids`."""
        ...

    async def companies_named(self, names: Iterable[str]) -> list[Company]:
        """The companies that have one of these names."""
        ...

    async def companies_on_web(self, domains: Iterable[str]) -> list[Company]:
        """The companies whose web address has one of these domains somewhere in it."""
        ...

    async def services_with_sku(self, skus: Iterable[str]) -> list[Service]:
        """The services whose SKU has one of these somewhere in it; VendorError where services have no SKU."""
        ...

    async def create_line(self, contract: int, service: int, description: str) -> int:
        """Put a service on a contract; the new line's id. Refused, RetryLater or OutcomeUnknown otherwise."""
        ...

    async def repeat_line(self, contract: int, service: int, day: date) -> None:
        """Make a further line of a service that is on a contract already, without units; found by reading the lines.

        Raises Refused, Misconfigured, RetryLater or OutcomeUnknown otherwise.
        """
        ...

    async def adjust(self, *, contract: int, line: int, adjustment: Adjustment, deadline: datetime) -> AdjustOutcome:
        """POST one adjustment; nothing is sent after the deadline, nothing is repeated."""
        ...

    async def threshold(self) -> Threshold:
        """How much of the tenant's request budget is used."""
        ...

    async def budget(self) -> Threshold | None:
        """The same, as it was read within the last minute and with our own requests since; None where it is unknown."""
        ...


class TicketsPort(Protocol):
    """The service desk of Autotask."""

    async def ticket(self, external_id: str) -> Ticket | None:
        """The ticket with an external id."""
        ...

    async def open_ticket(self, draft: TicketDraft, deadline: datetime) -> int:
        """Open a ticket; its id. Refused, RetryLater (not executed) or OutcomeUnknown otherwise; never repeated."""
        ...

    async def set_ticket_status(self, ticket: int, status: int, deadline: datetime) -> None:
        """Set a ticket's status and nothing else."""
        ...
