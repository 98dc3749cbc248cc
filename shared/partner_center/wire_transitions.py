"""Transitions and legacy upgrades between Partner Center's JSON and the values of `shared.domain.upgrade`; pure.

Whatever is missing or of an unknown word is read as far as it goes: eligibility that is not stated is none.
"""

from __future__ import annotations

from typing import Any

from shared.domain.upgrade import (
    DESTINATION_REASONS,
    TRANSITION_REASONS,
    UPGRADE_REASONS,
    Destination,
    Transition,
    TransitionEvent,
    TransitionOption,
    TransitionRequest,
    TransitionType,
    UpgradeOption,
    UpgradeResult,
)
from shared.partner_center.fields import Fields, api_word

TRANSITION_ROOTS = ("items", "transition", "transitions")  # the documentation and the SDK differ (reference 9.1.3)


def parse_transition_option(raw: dict[str, Any]) -> TransitionOption | None:
    """One eligible or ineligible target; None where it names no catalogue item, for then it cannot be asked for."""
    item = Fields(raw)
    target = item.text("catalogItemId", "toCatalogItemId")
    if not target:
        return None
    return TransitionOption(
        target=target,
        title=item.text("title") or item.text("description"),
        quantity=item.whole("quantity"),
        types=tuple(_type(each) for each in item.children("eligibilities")),
        destinations=tuple(_destination(each) for each in item.children("subscriptionEligibilities")),
    )


def _type(item: Fields) -> TransitionType:
    return TransitionType(
        item.text("transitionType"), item.flag("isEligible"), item.reasons(TRANSITION_REASONS, "errors")
    )


def _destination(item: Fields) -> Destination:
    return Destination(
        subscription_id=item.identity("subscriptionId") or "",
        friendly_name=item.text("subscriptionFriendlyName"),
        term=item.text("subscriptionTermDuration"),
        billing=item.text("subscriptionBillingCycle"),
        eligible=item.flag("isEligible"),
        reasons=item.reasons(DESTINATION_REASONS, "errors"),
    )


def transition_body(source: str, request: TransitionRequest) -> dict[str, Any]:
    """What is sent to start a transition; only what was chosen."""
    chosen = {
        "toSubscriptionId": request.to_subscription,
        "termDuration": request.term,
        "billingCycle": api_word(request.billing) if request.billing else None,
        "promotionId": request.promotion,
    }
    return {
        "fromSubscriptionId": source,
        "toCatalogItemId": request.target,
        "quantity": request.quantity,
        "transitionType": request.transition_type,
    } | {name: value for name, value in chosen.items() if value is not None}


def parse_transition(raw: dict[str, Any]) -> Transition:
    """One transition."""
    item = Fields(raw)
    return Transition(
        operation_id=item.identity("operationId"),
        target=item.text("toCatalogItemId", "catalogItemId"),
        quantity=item.whole("quantity"),
        to_subscription=item.identity("toSubscriptionId"),
        events=tuple(_event(each) for each in item.children("events")),
    )


def _event(item: Fields) -> TransitionEvent:
    return TransitionEvent(
        name=item.text("name", "eventName"),
        status=item.text("status"),
        at=item.moment("timestamp"),
        errors=item.reasons(TRANSITION_REASONS, "errors"),
    )


def started_transition(parsed: object) -> Transition | None:
    """The transition in the answer to its start, alone or under a root key; None where there is none to be seen."""
    fields = Fields(parsed)
    alone = [fields] if fields.has("operationId", "toCatalogItemId", "events") else []
    for found in [*alone, *(fields.children(*TRANSITION_ROOTS))]:
        return parse_transition(found.raw)
    return None


def parse_upgrade_option(raw: dict[str, Any]) -> UpgradeOption:
    """One legacy upgrade; its raw object is kept to be sent back."""
    item = Fields(raw)
    offer = item.child("targetOffer")
    return UpgradeOption(
        offer_id=offer.identity("id") or "",
        name=offer.text("name"),
        eligible=item.flag("isEligible"),
        reasons=item.reasons(UPGRADE_REASONS, "upgradeErrors"),
        quantity=item.whole("quantity"),
        raw=raw,
    )


def parse_upgrade_result(parsed: object) -> UpgradeResult | None:
    """What a legacy upgrade did; None where the answer names neither a target nor an error.

    Of the licence errors only their number is read: they name users.
    """
    item = Fields(parsed)
    target, errors = item.identity("targetSubscriptionId"), item.reasons(UPGRADE_REASONS, "upgradeErrors")
    if target is None and not errors:
        return None
    return UpgradeResult(
        source=item.identity("sourceSubscriptionId") or "",
        target=target,
        errors=errors,
        license_errors=len(item.children("licenseErrors")),
    )
