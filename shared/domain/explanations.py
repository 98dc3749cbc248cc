"""Why a line needs a person, in sentences: each names the contract, the dates, units and money, and the next step.

Pure; `shared.usecases.converge` chooses, and a golden file in the tests holds every text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from shared.domain.autotask_texts import remedy_of
from shared.domain.calendar import BillingCalendar
from shared.domain.money import period_word, priced
from shared.domain.operation import CRASH_LIMIT, DriftSeen, Reason
from shared.domain.planning import CONTRACT_ENDED, Adjustment, Blocked
from shared.domain.rates import cents
from shared.domain.shortfalls import Shortfall
from shared.domain.timeline import RateStep, Target, Window

_LOOK = "Look at the line's units and price in Autotask"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Which line is spoken of, as far as it is known."""

    line: int
    contract: int
    name: str = ""
    window: Window | None = None
    calendar: BillingCalendar | None = None
    price: Decimal | None = None  # of a unit, as it was last verified

    def __str__(self) -> str:
        named = f" ({self.name})" if self.name else ""
        return f"Contract {self.contract}{named}, line {self.line}"


def amount_text(amount: Decimal) -> str:
    """An amount with two digits, or with as many more as it has."""
    text = f"{amount.normalize():f}"
    return f"{amount:.2f}" if len(text.partition(".")[2]) < 2 else text


def units_text(units: int, price: Decimal | None, calendar: BillingCalendar | None) -> str:
    """Units with their money: "12 units at 12.50 (150.00 a month)"."""
    count = f"{units} unit" if units == 1 else f"{units} units"
    if not units:
        return count
    if price is None:
        return f"{count} (price not known)"
    period = f" a {period_word(calendar)}" if calendar is not None else ""
    return f"{count} at {amount_text(price)} ({amount_text(cents(units * price))}{period})"


def wanted_text(where: Whereabouts, targets: Iterable[Target]) -> str:
    """What the operations that wait for a line want of it."""
    return "; ".join(_target_text(where, target) for target in targets) or "nothing"


def _target_text(where: Whereabouts, target: Target) -> str:
    parts = []
    if target.units is not None:
        price = target.price[0].amount if target.price else where.price
        dates = f"from {target.increase_on}"
        if target.decrease_on != target.increase_on:
            dates += f" where that is more, from {target.decrease_on} where it is less"
        parts.append(f"{units_text(target.units, price, where.calendar)} {dates}")
    if target.timeline is not None:
        steps = [units_text(step.units, step.price or where.price, where.calendar) for step in target.timeline.steps]
        parts.append(f"the earlier bill again, at the end {steps[-1] if steps else 'nothing'}")
    parts += _rate_texts("price", target.price) + _rate_texts("cost", target.cost)
    if target.free is not None and target.free.free:
        parts.append(f"free of charge from {target.free.on}")
    return ", ".join(parts) or f"no change from {target.increase_on}"


def _rate_texts(name: str, steps: Sequence[RateStep]) -> list[str]:
    return [
        f"{name} {'left alone' if step.amount is None else amount_text(step.amount)} from {step.on}" for step in steps
    ]


def shortfall_text(shortfalls: Iterable[Shortfall], calendar: BillingCalendar | None) -> str:
    """What is billed otherwise than wanted, with the money that it makes."""
    parts = []
    for plain in shortfalls:
        item = priced(plain, calendar)
        money = ""
        if item.money is not None and calendar is not None:
            word = f" a {period_word(calendar)}" if item.per_period else ""
            money = f", {amount_text(abs(item.money))}{word} too {'much' if item.money > 0 else 'little'}"
        parts.append(
            f"{item.start} to {item.end or 'the end'}: {units_text(item.billed, item.billed_price, calendar)} billed "
            f"instead of {units_text(item.desired, item.desired_price, calendar)}{money}"
        )
    return "; ".join(parts)


def approximation(shortfalls: Sequence[Shortfall], calendar: BillingCalendar | None) -> str:
    """Why a push that succeeded is not exactly what was wanted; empty where it is."""
    text = shortfall_text(shortfalls, calendar)
    return f"as near as the usable dates allow ({text})" if text else ""


def drift(where: Whereabouts, seen: DriftSeen) -> Reason:
    """Somebody changed the line in Autotask by hand."""
    return Reason(
        "drift",
        f"{where}: somebody changed it in Autotask. On {seen.on} it bills {_actual(where, seen)}; last verified were "
        f"{_verified(where, seen)}, wanted are {_desired(where, seen)}.",
        "Re-submit with the drift policy overwrite or respect, or dismiss to keep what Autotask has.",
    )


def outcome_unclear(where: Whereabouts, seen: DriftSeen) -> Reason:
    """After a lost answer the line is neither as before nor as after."""
    return Reason(
        "outcome_unclear",
        f"{where}: after an attempt without a clear answer it bills {_actual(where, seen)} on {seen.on}; before the "
        f"attempt it was {_verified(where, seen)}, wanted are {_desired(where, seen)}.",
        f"{_LOOK}, then re-submit with a drift policy or dismiss.",
    )


def date_taken(where: Whereabouts, adjustment: Adjustment, text: str) -> Reason:
    """The date is taken, nothing shows on it, and a lost attempt of ours may be why."""
    return Reason(
        "outcome_unclear",
        f"{where}: Autotask says that {adjustment.date} is taken and shows nothing there, so a lost attempt of ours "
        f"({adjustment_text(adjustment)}) may be under way.",
        f"{_LOOK}, then re-submit or dismiss.",
        text,
    )


def never_visible(where: Whereabouts, adjustment: Adjustment) -> Reason:
    """Autotask said yes and never showed it."""
    return Reason(
        "accepted_not_visible",
        f"{where}: Autotask accepted an adjustment ({adjustment_text(adjustment)}) but never showed it.",
        f"{_LOOK}, then re-submit or dismiss.",
    )


def adjustment_text(adjustment: Adjustment) -> str:
    """An adjustment: "+2 units from 2026-08-10 at 12.50"."""
    count = "unit" if abs(adjustment.change) == 1 else "units"
    what = f"{adjustment.change:+d} {count} from {adjustment.date}" if adjustment.change else f"from {adjustment.date}"
    price = "" if adjustment.price is None else f" at price {amount_text(adjustment.price)}"
    cost = "" if adjustment.cost is None else f" at cost {amount_text(adjustment.cost)}"
    return f"{what}{price}{' and' if price and cost else ''}{cost}"


def blocked(where: Whereabouts, found: Blocked, targets: Iterable[Target], posted_through: date | None) -> Reason:
    """The contract is over, or no date is left on which anything could be changed."""
    days = ", ".join(day.isoformat() for day in found.dates)
    window = f"{where.window.start} to {where.window.end}" if where.window is not None else "of unknown dates"
    if found.reason == CONTRACT_ENDED:
        return Reason(
            found.reason,
            f"{where}: the change is wanted from {days}, when the contract ({window}) is over: "
            f"{wanted_text(where, targets)}.",
            "Extend the contract in Autotask or map the subscription to another one, then re-submit.",
        )
    posted = f", posted through {posted_through}" if posted_through is not None else ""
    return Reason(
        found.reason,
        f"{where}: no date that could be used is left for the change wanted from {days} (contract {window}{posted}). "
        f"{shortfall_text(found.shortfalls, where.calendar)}.",
        "Un-post the period in Autotask and re-submit, or correct the bill by hand and dismiss.",
    )


def refused(where: Whereabouts, adjustment: Adjustment, text: str, *, in_bundle: bool) -> Reason:
    """Autotask's own refusal of an adjustment."""
    what = f"{where}: Autotask refused the adjustment ({adjustment_text(adjustment)})"
    if in_bundle:
        return Reason(
            "line_in_bundle",
            f"{what}, because the service is part of a bundle there.",
            "Take the service out of the bundle or map the subscription to a line of its own, then re-submit.",
            text,
        )
    remedy = remedy_of(text) or "Correct the cause, then re-submit."
    return Reason("autotask_refused", f"{what}.", remedy, text)


def refused_again(where: Whereabouts, targets: Iterable[Target]) -> Reason:
    """Every date that was tried was refused."""
    return Reason(
        "refused_again",
        f"{where}: Autotask refused every date that was tried for what is wanted: {wanted_text(where, targets)}.",
        "Look at the contract's posted periods and notes in Autotask, correct the bill by hand and dismiss.",
    )


def not_shown(where: Whereabouts, adjustments: Iterable[Adjustment]) -> Reason:
    """Autotask took a plan, shows something else, and would be sent the same again."""
    sent = "; ".join(adjustment_text(adjustment) for adjustment in adjustments)
    return Reason(
        "rates_not_shown",
        f"{where}: Autotask took these adjustments before and does not show what they set: {sent}. "
        "They are not sent again.",
        "Look at the line's prices and costs in Autotask, correct them by hand, then re-submit; dismiss where the bill "
        "is right as it is.",
    )


def unreadable(where: Whereabouts, targets: Iterable[Target], error: Exception) -> Reason:
    """What Autotask shows contradicts itself."""
    return Reason(
        "unreadable",
        f"{where}: what Autotask shows of it cannot be understood ({error}). Wanted: {wanted_text(where, targets)}.",
        "Correct the contract's dates or units in Autotask, then re-submit.",
    )


def contract_not_found(where: Whereabouts, targets: Iterable[Target]) -> Reason:
    """The contract is gone, or hidden from the API user."""
    return Reason(
        "contract_not_found",
        f"{where}: Autotask does not show the contract; it is gone or hidden from the API user. "
        f"Wanted: {wanted_text(where, targets)}.",
        "Bring it back or let the API user see it, then re-submit; or correct the bill by hand and dismiss.",
    )


def crash_loop(where: Whereabouts, targets: Iterable[Target]) -> Reason:
    """The push was begun too often without an end."""
    return Reason(
        "crash_loop",
        f"{where}: the push was begun {CRASH_LIMIT} times and never came to an end. "
        f"Wanted: {wanted_text(where, targets)}.",
        "Look at the application's log for this operation, then re-submit it.",
    )


def no_line(contract: int, target: Target, code: str, why: str) -> Reason:
    """Nothing says, or nothing can be found, on which line the seats shall be billed."""
    remedies = {
        "product_not_mapped": "Map the product to an Autotask service, then re-submit.",
        "contract_not_found": "Bring the contract back or let the API user see it, then re-submit; or map by hand.",
    }
    where = Whereabouts(0, contract)
    return Reason(
        code,
        f"Contract {contract} has no line yet for what is wanted: {wanted_text(where, [target])}. {why}",
        remedies.get(code, "Put the service on the contract in Autotask, then re-submit."),
    )


def line_not_in_ledger(where: Whereabouts, targets: Iterable[Target]) -> Reason:
    """The ledger does not hold the line for the subscription any more."""
    return Reason(
        "line_not_in_ledger",
        f"{where}: the ledger does not hold it for this subscription any more, so this change was not billed: "
        f"{wanted_text(where, targets)}.",
        "Compare the line with the subscription in Autotask, correct it by hand, then dismiss.",
    )


def _actual(where: Whereabouts, seen: DriftSeen) -> str:
    return units_text(seen.actual, seen.actual_price, where.calendar) + _cost(seen.actual_cost)


def _verified(where: Whereabouts, seen: DriftSeen) -> str:
    return units_text(seen.verified, seen.verified_price, where.calendar) + _cost(seen.verified_cost)


def _desired(where: Whereabouts, seen: DriftSeen) -> str:
    return units_text(seen.desired, seen.desired_price, where.calendar) + _cost(seen.desired_cost)


def _cost(cost: Decimal | None) -> str:
    return "" if cost is None else f", cost {amount_text(cost)}"
