"""The listings that a sync reads, page by page, each request made once: who paces the run decides about repeating.

A customer's subscriptions are kept as the bytes of the answer and parsed only when somebody asks for the items: most
customers have not changed since the last run, and their fingerprint says so.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from shared.domain.errors import Malformed
from shared.domain.listings import AuditPage, AuditRecord, CustomerPage, Mark
from shared.partner_center.fields import Fields
from shared.partner_center.paging import Collection, Page, one_page, parse_page
from shared.partner_center.session import Session, segment
from shared.partner_center.wire import moment, parse_customer

if TYPE_CHECKING:
    from shared.domain.subscription import CustomerItem
    from shared.transport import Reply

PAGE_SIZE = 500  # the largest that Partner Center gives (reference 4.6)
RAW_KEPT = 4096
_MORE = (b'"next"', b"continuationtoken")  # in an answer that has a further page


class SubscriptionListing:
    """All subscriptions of a customer as the answer's bytes; `fingerprint` names exactly these bytes.

    `observed_at` is Microsoft's clock.
    """

    def __init__(self, replies: list[Reply], collection: Collection, observed_at: datetime) -> None:
        self._replies = replies
        self._collection = collection
        self.observed_at = observed_at

    @property
    def fingerprint(self) -> str:
        """Sixteen characters for the bytes of the answers."""
        digest = hashlib.blake2b(digest_size=8)
        for reply in self._replies:
            digest.update(reply.body)
        return digest.hexdigest()

    def items(self) -> tuple[dict[str, Any], ...]:
        """The raw resources. Raises RetryLater where the answer is no collection."""
        pages = [parse_page(reply, self._collection, self.observed_at) for reply in self._replies]
        return tuple(item for page in pages for item in page.items)


class Listings:
    """The listings of one partner's Partner Center over a session that repeats nothing by itself."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def microsoft_now(self) -> datetime:
        """Microsoft's clock as the last answer showed it, running on since; our own before the first answer."""
        return self._session.microsoft_now()

    async def customers(self, mark: Mark | None) -> CustomerPage:
        """A page of all customers: the first, or the one that a mark stands for.

        Raises:
            RetryLater: no answer, or not now; the same page can be asked for again.
            Misconfigured: our credentials are not accepted, or the answer is one that has no reaction (VendorError).
        """
        page = await one_page(self._session, Collection("customers", {"size": str(PAGE_SIZE)}), mark)
        if page is None:
            return CustomerPage(())
        readable: list[CustomerItem] = []
        unreadable: list[str] = []
        for item in page.items:
            try:
                readable.append(parse_customer(item))
            except Malformed:
                unreadable.append(json.dumps(item)[:RAW_KEPT])
        return CustomerPage(tuple(readable), tuple(unreadable), _following(page))

    async def subscriptions(self, customer: str) -> SubscriptionListing:
        """All subscriptions of a customer.

        Raises:
            NotFound: the customer is unknown or not ours.
            Denied: Partner Center does not let us see this customer.
            RetryLater, Misconfigured: as for customers.
        """
        collection = Collection(f"customers/{segment(customer)}/subscriptions", {}, customer)
        reply = await self._session.get(collection.path)
        failure = self._session.failure(reply, customer=customer)
        if failure:
            raise failure
        replies = [reply]
        observed_at = self._session.observed_at(reply)
        body = reply.body.lower()
        if any(word in body for word in _MORE):
            following = _following(parse_page(reply, collection, observed_at))
            while following is not None:
                page = await one_page(self._session, collection, following)
                if page is None:
                    break
                replies.append(page.reply)
                following = _following(page)
        return SubscriptionListing(replies, collection, observed_at)

    async def audit(self, first: date, last: date, mark: Mark | None) -> AuditPage:
        """A page of the audit records of whole days, both included.

        Raises:
            RetryLater, Misconfigured: as for customers.
        """
        query = {"startDate": first.isoformat(), "endDate": last.isoformat(), "size": str(PAGE_SIZE)}
        page = await one_page(self._session, Collection("auditrecords", query), mark)
        if page is None:
            return AuditPage(())
        records = [record for item in page.items if (record := _record(item)) is not None]
        return AuditPage(tuple(records), len(page.items) - len(records), _following(page), page.observed_at)


def _following(page: Page) -> Mark | None:
    return None if page.next_query is None else Mark(page.next_query, page.token)


def _record(item: dict[str, Any]) -> AuditRecord | None:
    """One audit record; None for one without an id. Names of accounts are left where they are (reference 13.3)."""
    fields = Fields(item)
    identity = fields.text("id")
    if not identity:
        return None
    return AuditRecord(
        id=identity,
        customer=fields.text("customerId").lower(),
        customer_name=fields.text("customerName"),
        subscription=_subscription(fields),
        resource=fields.text("resourceType").lower(),
        operation=fields.text("operationType").lower(),
        status=fields.text("operationStatus").lower(),
        at=moment(fields.text("operationDate")),
    )


def _subscription(fields: Fields) -> str:
    for pair in fields.children("customizedData"):
        if pair.text("key").lower() == "subscriptionid":
            return pair.text("value").lower()
    if "subscription" not in fields.text("resourceType").lower():
        return ""
    for name in ("resourceNewValue", "resourceOldValue"):
        try:
            value = json.loads(fields.text(name))
        except (ValueError, RecursionError):
            continue
        if identity := Fields(value).identity("id"):
            return identity
    return ""
