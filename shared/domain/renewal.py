"""What shall be different after the renewal, as the instructions that Microsoft keeps with a subscription; pure.

Instructions name the whole next term: what was not asked for stays as it is now (partner-center reference 10.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from shared.domain.actions import Difference, NotAllowed
from shared.domain.asks import RenewalAsk
from shared.domain.known import canonical
from shared.domain.subscription import Subscription
from shared.domain.upgrade import TransitionOption


def is_other_product(ask: RenewalAsk, subscription: Subscription) -> bool:
    """Whether the ask is for another product, so that Microsoft's scheduled options decide."""
    return ask.target is not None and _sku(ask.target) != subscription.product_key.lower()


def next_term(
    ask: RenewalAsk, subscription: Subscription, options: Sequence[TransitionOption], now: datetime
) -> str | NotAllowed:
    """The instructions as JSON; refused where the target is not among Microsoft's scheduled options.

    `options` are needed only for another product; `now` is Microsoft's clock.
    """
    target = ask.target or subscription.offer_id
    parts = target.split(":")
    eligible = {option.target.lower() for option in options if any(way.eligible for way in option.types)}
    if is_other_product(ask, subscription) and target.lower() not in eligible:
        return NotAllowed(
            "target_not_eligible",
            "Microsoft does not name this product among those that the subscription can become at its renewal.",
            differences=(Difference("target", target, sorted(option.target for option in options)),),
        )
    if len(parts) != 3 or not all(parts):
        return NotAllowed(
            "target_not_eligible",
            "A product for the next term is named as product:sku:availability.",
            differences=(Difference("target", target, subscription.offer_id),),
        )
    if ask.custom_end is not None and ask.custom_end <= (subscription.commitment_end or now):
        return NotAllowed(
            "custom_end_too_early",
            "The end of the next term lies before that of the present one.",
            differences=(Difference("customTermEndDate", ask.custom_end, subscription.commitment_end),),
        )
    return canonical(_instructions(ask, subscription, parts))


def _instructions(ask: RenewalAsk, subscription: Subscription, parts: Sequence[str]) -> dict[str, Any]:
    product = {
        "productId": parts[0],
        "skuId": parts[1],
        "availabilityId": parts[2],
        "billingCycle": ask.billing or subscription.billing_cycle,
        "termDuration": ask.term or subscription.term_duration,
    }
    if ask.promotion:
        product["promotionId"] = ask.promotion
    instructions: dict[str, Any] = {"product": product, "quantity": ask.quantity or subscription.quantity}
    if ask.custom_end is not None:
        end = ask.custom_end.astimezone(UTC).isoformat(timespec="seconds")
        instructions["customTermEndDate"] = end.replace("+00:00", "Z")
    return instructions


def _sku(target: str) -> str:
    return ":".join(target.split(":")[:2]).lower()
