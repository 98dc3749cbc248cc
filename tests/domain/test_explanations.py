"""The texts of all dead letters, as the file beside this one holds them.

`WRITE_GOLDEN=1 make test ARGS="tests/domain/test_explanations.py"` writes the file anew; read what changed.
"""

from __future__ import annotations

import os
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from shared.domain import explanations as say
from shared.domain.calendar import BillingCalendar, PeriodType
from shared.domain.operation import DriftSeen, Reason
from shared.domain.planning import Adjustment, Blocked, DriftPolicy, plan
from shared.domain.timeline import FreeFrom, RateStep, Step, Target, Timeline, Window
from shared.domain.unusable import Unusable

GOLDEN = Path(__file__).with_name("dead_letters.txt")
YEAR = Window(date(2026, 1, 1), date(2026, 12, 31))
AUGUST, SEPTEMBER = date(2026, 8, 10), date(2026, 9, 1)
PRICE, COST = Decimal("12.50"), Decimal("10.00")
WHERE = say.Whereabouts(8001, 29747643, "CSP Northwind", YEAR, BillingCalendar(YEAR.start, PeriodType.MONTHLY), PRICE)
UNKNOWN = say.Whereabouts(8001, 29747643, price=PRICE)
MORE = Target(14, AUGUST, SEPTEMBER)
DEARER = Target(
    None, SEPTEMBER, SEPTEMBER, (RateStep(SEPTEMBER, Decimal(13)),), (RateStep(SEPTEMBER, Decimal("10.5")),)
)
FOUR = Target(4, AUGUST, AUGUST, (RateStep(AUGUST, PRICE),))
FREED = Target(12, AUGUST, AUGUST, free=FreeFrom(AUGUST, free=True))


def billed(*steps: tuple[date, int, str]) -> Timeline:
    return Timeline(tuple(Step(day, units, Decimal(price), COST) for day, units, price in steps))


def blocked(desired: Timeline, through: date | None) -> Blocked:
    """What the planner says where a line of 12 units cannot come to what is desired."""
    actual = billed((YEAR.start, 12, "12.50"))
    found = plan(desired, actual, actual, DriftPolicy.OVERWRITE, Unusable(YEAR, through=through))
    assert isinstance(found, Blocked)
    return found


def drifted(**rates: Decimal) -> DriftSeen:
    return DriftSeen(AUGUST, 12, 11, 14, "reading", **rates)


POSTED = blocked(billed((YEAR.start, 12, "12.50"), (AUGUST, 14, "13")), YEAR.end)
ENDED = blocked(billed((YEAR.start, 12, "12.50"), (date(2027, 2, 1), 8, "12.50")), None)
ADJUSTMENT = Adjustment(AUGUST, 2, PRICE, COST)
REFUSAL = "Attempt to insert duplicate data into contract_service_period"

REASONS: dict[str, Reason] = {
    "somebody changed the units by hand": say.drift(
        WHERE, drifted(verified_price=PRICE, actual_price=PRICE, desired_price=PRICE)
    ),
    "somebody changed price and cost by hand": say.drift(
        WHERE,
        DriftSeen(AUGUST, 12, 12, 12, "reading", PRICE, Decimal(11), Decimal(13), COST, Decimal(9), Decimal("10.5")),
    ),
    "somebody changed units whose price cannot be read": say.drift(WHERE, drifted()),
    "an answer was lost and something else shows": say.outcome_unclear(
        WHERE, drifted(verified_price=PRICE, actual_price=PRICE, desired_price=PRICE)
    ),
    "the date is taken and a lost attempt may be why": say.date_taken(WHERE, ADJUSTMENT, REFUSAL),
    "an accepted adjustment never showed": say.never_visible(WHERE, ADJUSTMENT),
    "an accepted change of price never showed": say.never_visible(WHERE, Adjustment(SEPTEMBER, 0, Decimal(13), None)),
    "every period to the contract's end is posted": say.blocked(WHERE, POSTED, [MORE], YEAR.end),
    "every date is taken": say.blocked(WHERE, POSTED, [MORE], None),
    "the contract has ended by then": say.blocked(WHERE, ENDED, [Target(8, AUGUST, date(2027, 2, 1))], None),
    "Autotask refuses": say.refused(WHERE, ADJUSTMENT, "The service is locked.", in_bundle=False),
    "the line is part of a bundle": say.refused(
        WHERE, ADJUSTMENT, "The ContractService is part of a ContractServiceBundle.", in_bundle=True
    ),
    "Autotask takes a price and shows another": say.not_shown(WHERE, [Adjustment(AUGUST, 0, PRICE, COST)]),
    "every date that was tried was refused": say.refused_again(WHERE, [MORE, DEARER]),
    "what Autotask shows contradicts itself": say.unreadable(
        WHERE, [MORE], ValueError("Two unit rows overlap on 2026-08-10.")
    ),
    "the contract is gone": say.contract_not_found(UNKNOWN, [MORE, DEARER]),
    "the push kills its worker": say.crash_loop(UNKNOWN, [FREED]),
    "a product that no service is named for": say.no_line(
        29747643,
        FOUR,
        "product_not_mapped",
        "The product CFQ7TTC0LCHC:0002~P1Y~monthly is not mapped to a service, so nothing says how to bill it.",
    ),
    "a service whose contract is gone": say.no_line(
        29747643, FOUR, "contract_not_found", "Autotask does not show contract 29747643."
    ),
    "a service that Autotask does not put on the contract": say.no_line(
        29747643, FOUR, "autotask_refused", "The Service is inactive."
    ),
    "the ledger does not hold the line": say.line_not_in_ledger(UNKNOWN, [Target(0, AUGUST, AUGUST)]),
}


def texts() -> str:
    parts = []
    for title, reason in REASONS.items():
        lines = [f"# {title}", f"{reason.code}: {reason.sentence}", f"-> {reason.remedy}"]
        parts.append("\n".join([*lines, *([f"   Autotask: {reason.vendor_text}"] if reason.vendor_text else [])]))
    return "\n\n".join(parts) + "\n"


def test_every_text_is_the_one_that_was_agreed_on() -> None:
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(texts(), encoding="utf-8")
    assert texts() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("title", REASONS)
def test_every_text_names_contract_line_date_amount_and_next_step(title: str) -> None:
    reason = REASONS[title]
    no_line_yet = reason.sentence.startswith("Contract 29747643 has no line")
    for named in ("29747643", "202", *([] if no_line_yet else ["8001"])):
        assert named in reason.sentence
    assert re.search(r"\d units?\b|price \d", reason.sentence)
    assert reason.remedy


def test_a_shortfall_says_how_much_too_little_is_billed() -> None:
    assert say.approximation(POSTED.shortfalls, WHERE.calendar) == (
        "as near as the usable dates allow (2026-08-10 to the end: 12 units at 12.50 (150.00 a month) billed "
        "instead of 14 units at 13.00 (182.00 a month), 32.00 a month too little)"
    )
    assert say.approximation((), WHERE.calendar) == ""
