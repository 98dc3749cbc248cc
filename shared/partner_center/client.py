"""Customers and subscriptions of the Partner Center API: list, read, and change one.

Reads raise the errors of `shared.domain.errors`; a change answers with a `ChangeOutcome` and is never repeated here,
except once after a 401, which executes nothing. What an answer means is decided in `shared.partner_center.answers`;
upgrades and migrations have modules of their own (`transitions`, `migrations`) on the same session.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain.errors import RetryLater
from shared.domain.outcomes import ChangeOutcome, Listing, Reading
from shared.partner_center.answers import change_outcome
from shared.partner_center.paging import Collection, pages
from shared.partner_center.session import Session, TokenSource, readable, segment, subscription_path
from shared.partner_center.wire import parse_customer
from shared.transport import Reply, Retries, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shared.domain.subscription import CustomerItem

PAGE_SIZE = 500  # the largest that Partner Center gives (reference 4.6)


class PartnerCenter:
    """One partner's Partner Center.

    `timeout` is the time of one attempt in seconds, `read_seconds` the whole time of a read with its repetitions.
    `session` is what `Transitions` and `Migrations` are made with, so that all have one token and one clock.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        *,
        now: Callable[[], datetime],
        timeout: float = 30.0,
        read_seconds: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        self._now = now
        self.session = Session(transport, tokens, now=now, timeout=timeout, read_seconds=read_seconds, retries=retries)

    def microsoft_now(self) -> datetime:
        """Microsoft's clock as the last answer showed it, running on since; our own before the first answer."""
        return self.session.microsoft_now()

    async def customers(self) -> AsyncIterator[list[CustomerItem]]:
        """All customers, in pages of 500. The list is complete only if the iteration ends without an error."""
        async for page in pages(self.session, Collection("customers", {"size": str(PAGE_SIZE)})):
            yield [parse_customer(item) for item in page.items]

    async def subscriptions(self, customer: str) -> Listing:
        """All subscriptions of a customer, of any state, as raw resources.

        Raises:
            NotFound: the customer is unknown or not ours.
        """
        found: list[dict[str, Any]] = []
        observed_at: datetime | None = None
        collection = Collection(f"customers/{segment(customer)}/subscriptions", {}, customer)
        async for page in pages(self.session, collection):
            found.extend(page.items)
            observed_at = observed_at or page.observed_at
        return Listing(tuple(found), observed_at or self._now())

    async def subscription(self, customer: str, subscription: str) -> Reading:
        """One subscription, raw, with Microsoft's clock.

        Raises:
            NotFound: "customer" or "subscription", whichever is unknown.
        """
        reply = await self.session.get(subscription_path(customer, subscription))
        failure = self.session.failure(reply, customer=customer, subscription=subscription)
        if failure:
            raise failure
        return Reading(_json_object(reply), self.session.observed_at(reply))

    async def change(
        self, customer: str, subscription: str, body: dict[str, Any], *, request_id: str, deadline: datetime
    ) -> ChangeOutcome:
        """PATCH the whole raw resource, with one intention changed in it; nothing is sent after `deadline`.

        `request_id` is the MS-RequestId, Partner Center's idempotency key: the same for the same write (reference 4.1).

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        path = subscription_path(customer, subscription)
        reply = await self.session.write(
            "PATCH", path, body, request_id=request_id, deadline=deadline, headers=_if_match(body)
        )
        if not isinstance(reply, Reply):
            return reply
        return change_outcome(
            reply.status,
            reply.body,
            observed_at=self.session.observed_at(reply),
            location=reply.headers.get("location", ""),
            retry_after=self.session.retry_after(reply),
        )


def _if_match(body: dict[str, Any]) -> dict[str, str]:
    """If-Match in double quotes, only where the resource carries an etag (reference 4.2)."""
    attributes = body.get("attributes")
    etag = attributes.get("etag") if isinstance(attributes, dict) else None
    return {"If-Match": '"{}"'.format(etag.strip('"'))} if isinstance(etag, str) and etag.strip('"') else {}


def _json_object(reply: Reply) -> dict[str, Any]:
    parsed = readable(reply)
    if not isinstance(parsed, dict):
        raise RetryLater("an answer is not a JSON object")
    return parsed
