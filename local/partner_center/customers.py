"""The partner's customers: a few fixed ones and any number of generated ones, which exist only as their number.

A customer's place in the list never changes, so a page is a slice and 100,000 customers cost nothing until somebody
reads them.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GENERATED_ID = re.compile(r"c0000000-0000-4000-8000-([0-9a-f]{12})")


@dataclass(frozen=True)
class Customer:
    """A customer tenant; `number` is set for generated ones, `delegated` is false without a GDAP role."""

    id: str
    name: str
    domain: str
    delegated: bool = True
    number: int | None = None

    def list_item(self) -> dict[str, Any]:
        """The little that the list shows."""
        profile_uri = f"/customers/{self.id}/profiles/company"
        return {
            "id": self.id,
            "companyProfile": {
                "tenantId": self.id,
                "domain": self.domain,
                "companyName": self.name,
                "links": {"self": {"uri": profile_uri, "method": "GET", "headers": []}},
                "attributes": {"objectType": "CustomerCompanyProfile"},
            },
            "relationshipToPartner": "reseller",
            "links": {"self": {"uri": f"/customers/{self.id}", "method": "GET", "headers": []}},
            "attributes": {"objectType": "Customer"},
        }

    def resource(self) -> dict[str, Any]:
        """The answer of get-by-id; address, e-mail and custom domains are missing without delegated access."""
        shown = self.list_item()
        seed = uuid.UUID(self.id)
        email = f"billing@{self.domain.partition('.')[0]}.example"
        address = {
            "country": "GB",
            "city": "London",
            "addressLine1": "1 Sample Street",
            "postalCode": "EC1A 1AA",
            "phoneNumber": "0200000000",
        }
        billing_uri = f"/customers/{self.id}/profiles/billing"
        shown |= {
            "commerceId": str(uuid.uuid5(seed, "commerce")),
            "billingProfile": {
                "id": str(uuid.uuid5(seed, "billing")),
                "firstName": "Sam",
                "lastName": "Sample",
                "email": email,
                "culture": "en-GB",
                "language": "en",
                "companyName": self.name,
                "defaultAddress": address | {"firstName": "Sam", "lastName": "Sample"},
                "links": {"self": {"uri": billing_uri, "method": "GET", "headers": []}},
                "attributes": {"etag": str(-(seed.int % 2**63)), "objectType": "CustomerBillingProfile"},
            },
            "allowDelegatedAccess": self.delegated,
        }
        if self.delegated:
            shown["companyProfile"] |= {"address": address, "email": email}
            shown["customDomains"] = [self.domain]
        return shown


def generated_customer(number: int) -> Customer:
    """Customer `number`, counted from 1."""
    return Customer(
        id=f"c0000000-0000-4000-8000-{number:012x}",
        name=f"Generated Customer {number:06d}",
        domain=f"generated{number:06d}.onmicrosoft.com",
        number=number,
    )


class Customers:
    """All customers in list order: the fixed ones, then the generated ones."""

    def __init__(self, fixed: Sequence[Customer], generated: int) -> None:
        self.fixed = list(fixed)
        self.generated = generated
        self._by_id = {customer.id: customer for customer in fixed}
        self._gone: set[str] = set()

    def __len__(self) -> int:
        return len(self.fixed) + self.generated

    def find(self, customer_id: str) -> Customer | None:
        """The customer with this id (any case) as long as there is a relationship."""
        key = customer_id.lower()
        if key in self._gone:
            return None
        if fixed := self._by_id.get(key):
            return fixed
        match = GENERATED_ID.fullmatch(key)
        number = int(match[1], 16) if match else 0
        return generated_customer(number) if 1 <= number <= self.generated else None

    def end_relationship(self, customer: Customer) -> None:
        """Let the customer disappear from the list and from every path."""
        self._gone.add(customer.id)

    def page(
        self, start: int, size: int, matches: Callable[[Customer], bool] | None
    ) -> tuple[list[Customer], int | None]:
        """Up to `size` customers from position `start` on, and the position that follows (None: there is no more)."""
        found: list[Customer] = []
        for position, customer in self._from(start):
            if matches is not None and not matches(customer):
                continue
            if len(found) == size:
                return found, position
            found.append(customer)
        return found, None

    def _from(self, start: int) -> Iterator[tuple[int, Customer]]:
        for position in range(start, len(self)):
            number = position - len(self.fixed) + 1
            customer = self.fixed[position] if number < 1 else generated_customer(number)
            if customer.id not in self._gone:
                yield position, customer
