"""What Partner Center lists, as values: pages of customers, one customer's subscriptions, and audit records.

A `Mark` is where a paged listing goes on; it is stored, so that a run that was interrupted continues from its page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.subscription import CustomerItem


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a paged listing goes on: the parameters of its next link and the opaque continuation token."""

    query: dict[str, str]
    token: str


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """Up to 500 customers; `unreadable` are items without an id, raw and cut; `following` is None on the last page."""

    customers: tuple[CustomerItem, ...]
    unreadable: tuple[str, ...] = ()
    following: Mark | None = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One thing that somebody did at Partner Center. Whose account it was is not read: the id leads there.

    `subscription` is empty where the record names none. Words keep Microsoft's spelling in lower case.
    """

    id: str
    customer: str
    customer_name: str
    subscription: str
    resource: str
    operation: str
    status: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some audit records; `unreadable` counts items that could not be read."""

    records: tuple[AuditRecord, ...]
    unreadable: int = 0
    following: Mark | None = None
    observed_at: datetime | None = field(default=None)
