"""What the use cases need of the two vendors, as protocols; `shared.partner_center` and `shared.autotask` fulfil them.

Every method raises the errors of `shared.domain.errors`: `RetryLater`, `Misconfigured` (with `VendorError`),
`NotFound` and `Malformed` where it reads; outcomes are values where it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import date, datetime

    from shared.domain.contract import Company, Contract, ContractLine, Service, Threshold
    from shared.domain.outcomes import AdjustOutcome, ChangeOutcome, Listing, Reading
    from shared.domain.subscription import CustomerItem
    from shared.domain.timeline import UnitsRow


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

    async def companies_by_name(self, prefix: str, limit: int = 20) -> list[Company]:
        """The first companies whose name begins with `prefix`."""
        ...

    async def create_line(self, contract: int, service: int, description: str) -> int:
        """Put a service on a contract; the new line's id. Refused, RetryLater or OutcomeUnknown otherwise."""
        ...

    async def adjust(
        self, *, contract: int, line: int, change: int, effective: date, deadline: datetime
    ) -> AdjustOutcome:
        """POST one adjustment; nothing is sent after the deadline, nothing is repeated."""
        ...

    async def threshold(self) -> Threshold:
        """How much of the tenant's request budget is used."""
        ...
