"""Whether an upgrade can be made as it was asked for, judged against the options that Microsoft names now; pure.

Options go stale within hours, so the same judgement is made for the preview and again right before the upgrade.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from shared.domain.actions import Difference, NotAllowed
from shared.domain.asks import UpgradeAsk
from shared.domain.jobs import UpgradeJob
from shared.domain.reasons import Reason, plain
from shared.domain.subscription import Family, Subscription
from shared.domain.upgrade import Destination, TransitionOption, TransitionType, UpgradeOption

TERM_MONTHS = {"P1M": 1, "P1Y": 12, "P3Y": 36}
_TRANSITION_ONLY = "transition_only"


def choose_transition(
    ask: UpgradeAsk, source: Subscription, options: Sequence[TransitionOption], *, observed_at: datetime
) -> UpgradeJob | NotAllowed:
    """The upgrade of a new commerce subscription or trial; `observed_at` is Microsoft's clock."""
    option = next((option for option in options if option.target.lower() == ask.target.lower()), None)
    quantity = source.quantity if ask.quantity is None else ask.quantity
    refusal = _same_product(ask, source) or _seats(source, quantity) or _term(ask, source)
    if refusal is not None:
        return refusal
    if option is None:
        return _not_a_target(ask, [option.target for option in options])
    way = _way(ask, option)
    if isinstance(way, NotAllowed):
        return way
    joined = _destination(ask, source, option)
    if isinstance(joined, NotAllowed):
        return joined
    return UpgradeJob(
        target=option.target,
        title=option.title,
        quantity=quantity,
        full=quantity == source.quantity,
        legacy=False,
        observed_at=observed_at,
        transition_type=way.name,
        to_subscription=joined.subscription_id if joined else None,
        term=ask.term,
        billing=ask.billing,
        promotion=ask.promotion,
    )


def choose_legacy(
    ask: UpgradeAsk, source: Subscription, options: Sequence[UpgradeOption], *, observed_at: datetime
) -> UpgradeJob | NotAllowed:
    """The upgrade of a legacy subscription: all seats or none, and always into a subscription of its own."""
    wanted = [option for option in options if option.offer_id == ask.target.lower()]
    if (same := _same_product(ask, source)) is not None:
        return same
    if not wanted:
        return _not_a_target(ask, [option.offer_id for option in options])
    if ask.quantity not in {None, source.quantity} or ask.to_subscription is not None:
        return NotAllowed(
            "all_seats_only",
            "A legacy subscription is upgraded with all its seats, into a subscription of its own.",
            differences=(Difference("quantity", ask.quantity, source.quantity),),
        )
    option = next((option for option in wanted if option.eligible), None)
    if option is None:
        return _ineligible("target_not_eligible", f"{wanted[0].name} is not eligible now", wanted[0].reasons)
    return UpgradeJob(
        target=option.offer_id,
        title=option.name,
        quantity=source.quantity,
        full=True,
        legacy=True,
        observed_at=observed_at,
    )


def _same_product(ask: UpgradeAsk, source: Subscription) -> NotAllowed | None:
    sku = ":".join(ask.target.split(":")[:2])
    if sku.lower() != source.product_key.lower():
        return None
    return NotAllowed(
        "same_product",
        "The target is the product that the subscription has already.",
        differences=(Difference("target", ask.target, source.offer_id),),
    )


def _not_a_target(ask: UpgradeAsk, targets: list[str]) -> NotAllowed:
    return NotAllowed(
        "target_not_eligible",
        "Microsoft does not name this target, or does not name it any more.",
        differences=(Difference("target", ask.target, targets),),
    )


def _seats(source: Subscription, quantity: int) -> NotAllowed | None:
    if quantity > source.quantity:
        sentence = f"There are {source.quantity} seats; no more can be moved."
        return NotAllowed("too_many_seats", sentence, differences=(Difference("quantity", quantity, source.quantity),))
    if source.family is Family.TRIAL and quantity < source.quantity:
        sentence = "A trial is converted with all its seats."
        return NotAllowed("all_seats_only", sentence, differences=(Difference("quantity", quantity, source.quantity),))
    return None


def _term(ask: UpgradeAsk, source: Subscription) -> NotAllowed | None:
    asked, present = TERM_MONTHS.get((ask.term or "").upper()), TERM_MONTHS.get(source.term_duration.upper())
    if asked is None or present is None or asked >= present or source.family is Family.TRIAL:
        return None
    return NotAllowed(
        "term_too_short",
        "An upgrade cannot shorten the term.",
        differences=(Difference("termDuration", ask.term, source.term_duration),),
    )


def _way(ask: UpgradeAsk, option: TransitionOption) -> TransitionType | NotAllowed:
    """The way that was asked for, else the one that moves no licences, else any that is eligible."""
    named = option.type(ask.transition_type) if ask.transition_type else None
    if ask.transition_type and named is None:
        return NotAllowed(
            "transition_type_not_eligible",
            "Microsoft does not name this kind of transition.",
            differences=(Difference("transitionType", ask.transition_type, [way.name for way in option.types]),),
        )
    ways = [named] if named else sorted(option.types, key=lambda way: plain(way.name) != plain(_TRANSITION_ONLY))
    chosen = next((way for way in ways if way.eligible), None)
    if chosen is not None:
        return chosen
    code = "transition_type_not_eligible" if named else "target_not_eligible"
    reasons = [reason for way in ways for reason in way.reasons]
    return _ineligible(code, f"{option.title or option.target} is not eligible now", reasons)


def _destination(ask: UpgradeAsk, source: Subscription, option: TransitionOption) -> Destination | NotAllowed | None:
    if ask.to_subscription is None:
        return None
    wanted = ask.to_subscription.lower()
    if wanted == source.id:
        return NotAllowed(
            "same_subscription",
            "The subscription to join is the one that is upgraded.",
            differences=(Difference("toSubscriptionId", wanted, source.id),),
        )
    found = next((each for each in option.destinations if each.subscription_id == wanted), None)
    if found is None:
        names = [each.subscription_id for each in option.destinations]
        return NotAllowed(
            "destination_not_eligible",
            "Microsoft does not name this subscription among those that the seats could join.",
            differences=(Difference("toSubscriptionId", wanted, names),),
        )
    if not found.eligible:
        return _ineligible("destination_not_eligible", "The subscription to join is not eligible now", found.reasons)
    return found


def _ineligible(code: str, sentence: str, reasons: Iterable[Reason]) -> NotAllowed:
    why = " ".join(dict.fromkeys(reason.sentence for reason in reasons))
    return NotAllowed(code, f"{sentence}. {why}".strip())
