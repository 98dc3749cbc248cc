"""Upgrades at Partner Center: transitions of new commerce subscriptions, upgrades of legacy ones.

Reads raise the errors of `shared.domain.errors`, `Refused` among them where the subscription itself rules the question
out. A write is never repeated here; whatever is not clearly taken, busy or refused is `Unknown`, to be settled by
reading `transitions` or the subscriptions.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain.outcomes import (
    Busy,
    ChangeRefused,
    Started,
    TransitionOutcome,
    Unknown,
    UpgradeDone,
    UpgradeOutcome,
)
from shared.domain.upgrade import Transition, TransitionOption, TransitionRequest, UpgradeOption, UpgradeResult
from shared.partner_center.answers import PENDING, json_of, not_done
from shared.partner_center.paging import Collection, everything
from shared.partner_center.session import subscription_path
from shared.partner_center.wire_transitions import (
    TRANSITION_ROOTS,
    parse_transition,
    parse_transition_option,
    parse_upgrade_option,
    parse_upgrade_result,
    started_transition,
    transition_body,
)
from shared.transport import Reply

if TYPE_CHECKING:
    from shared.partner_center.session import Session

_PASSES = {"concurrency_conflicts", "subscription_not_provisioned"}  # upgrade errors that pass by themselves


class Transitions:
    """The upgrades of one partner's customers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def transition_options(
        self, customer: str, subscription: str, *, scheduled: bool
    ) -> tuple[TransitionOption, ...]:
        """What a subscription can become, now or (`scheduled`) at its renewal; ineligible targets with reasons.

        Raises:
            NotFound: the customer or the subscription is unknown.
            Refused: the subscription has no transitions at all, as a legacy one.
        """
        query = {"eligibilityType": "scheduled" if scheduled else "immediate"}
        items = await self._list(customer, subscription, "transitionEligibilities", query)
        options = (parse_transition_option(item) for item in items)
        return tuple(option for option in options if option is not None)

    async def transition(
        self, customer: str, subscription: str, request: TransitionRequest, *, request_id: str, deadline: datetime
    ) -> TransitionOutcome:
        """Start a transition, once; nothing is sent after `deadline`. It cannot be undone.

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        path = f"{subscription_path(customer, subscription)}/transitions"
        body = transition_body(subscription, request)
        reply = await self._session.write("POST", path, body, request_id=request_id, deadline=deadline)
        if not isinstance(reply, Reply):
            return reply
        if not 200 <= reply.status < 300:
            return not_done(reply.status, reply.body, retry_after=self._session.retry_after(reply))
        started = started_transition(json_of(reply.body))
        return Started(started) if started else Unknown("success, but without a readable transition")

    async def transitions(
        self, customer: str, subscription: str, *, operation: str | None = None
    ) -> tuple[Transition, ...]:
        """The transitions of a new commerce subscription, all of them or that of one operation id.

        Raises:
            NotFound: the customer or the subscription is unknown.
            Refused: the subscription has no transitions at all, as a legacy one.
        """
        query = {"operationId": operation} if operation else {}
        items = await self._list(customer, subscription, "transitions", query)
        return tuple(parse_transition(item) for item in items)

    async def upgrade_options(self, customer: str, subscription: str) -> tuple[UpgradeOption, ...]:
        """What a legacy subscription can be upgraded to.

        Raises:
            NotFound: the customer or the subscription is unknown.
            Refused: Partner Center has no legacy upgrades for this subscription.
        """
        items = await self._list(customer, subscription, "upgrades", {})
        return tuple(parse_upgrade_option(item) for item in items)

    async def upgrade(
        self, customer: str, subscription: str, option: UpgradeOption, *, request_id: str, deadline: datetime
    ) -> UpgradeOutcome:
        """Upgrade a legacy subscription, all seats, once; nothing is sent after `deadline`. It cannot be undone.

        It is posted to the source, whatever the documentation's path says (reference 9.2).

        Raises:
            Misconfigured: Partner Center does not accept our credentials; nothing was executed.
        """
        path = f"{subscription_path(customer, subscription)}/upgrades"
        reply = await self._session.write("POST", path, option.raw, request_id=request_id, deadline=deadline)
        if not isinstance(reply, Reply):
            return reply
        if not 200 <= reply.status < 300:
            return not_done(reply.status, reply.body, retry_after=self._session.retry_after(reply))
        return _upgraded(reply.status, parse_upgrade_result(json_of(reply.body)))

    async def _list(self, customer: str, subscription: str, name: str, query: dict[str, str]) -> list[dict[str, Any]]:
        collection = Collection(
            f"{subscription_path(customer, subscription)}/{name}",
            query,
            customer,
            subscription,
            roots=TRANSITION_ROOTS,
            bare=True,
            refusable=True,
        )
        return await everything(self._session, collection)


def _upgraded(status: int, result: UpgradeResult | None) -> UpgradeOutcome:
    """A legacy upgrade answers with success even where it did nothing: its errors and its target decide."""
    if result is None:
        return Unknown("success, but without a readable result of the upgrade")
    if not result.errors:
        return UpgradeDone(result)
    if result.target is not None:
        return Unknown("the upgrade names a new subscription and errors")
    code = result.errors[0].code
    text = " ".join(reason.text or reason.sentence for reason in result.errors)
    if all(reason.code in _PASSES for reason in result.errors):
        return Busy(code, text, PENDING)
    return ChangeRefused(status, code, text)
