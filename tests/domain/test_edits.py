"""Hand edits that shall stay: a difference that is kept on top of whatever we desire later."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.edits import NO_EDITS, added, difference, with_edits
from shared.domain.line import Line
from shared.domain.timeline import Timeline
from shared.storage.rows import document, parse
from tests.domain.timelines import day, days_between, line, priced, priced_timelines

PROPERTY = settings(max_examples=60, deadline=None)
OURS = priced((1, 5, "12", None))


def edited(actual: Timeline, verified: Timeline = OURS, owned: Timeline = OURS, until: int = 31) -> Timeline:
    return difference(actual, verified, owned=owned, until=day(until))


def test_a_difference_has_units_and_the_rates_that_are_ours_and_known() -> None:
    assert edited(priced((1, 5, "12", "9"), (10, 7, "11", "8"))) == priced((10, 2, "-1"))
    assert edited(priced((1, 5, None))) == NO_EDITS
    assert edited(priced((1, 5, "12.005"))) == NO_EDITS
    assert edited(priced((1, 5, "11")), owned=line((1, 5))) == NO_EDITS


def test_what_lies_after_the_contract_is_no_edit_and_the_last_difference_holds() -> None:
    assert edited(line((1, 7), (32, 0)), line((1, 5))) == line((1, 2))


def test_edits_stay_on_top_of_later_changes_and_zero_stays_zero() -> None:
    edits = priced((10, 2, "-1"))
    desired = priced((1, 5, "12"), (15, 8, "13"), (20, 0, "13"), (25, 3, "0"))
    assert with_edits(desired, edits) == priced(
        (1, 5, "12"), (10, 7, "11"), (15, 10, "12"), (20, 0, "12"), (25, 5, "0")
    )


def test_nothing_becomes_negative_by_an_edit() -> None:
    assert with_edits(priced((1, 2, "1"), (10, 9, "12")), priced((1, -5, "-3"))) == priced((10, 4, "9"), (1, 0, "0"))


@PROPERTY
@given(priced_timelines(-3, 31), priced_timelines(-3, 31), st.integers(1, 5))
def test_two_edits_one_after_the_other_are_one(first: Timeline, second: Timeline, units: int) -> None:
    desired = line((-3, 50 + units))
    for moment in days_between(day(-3), day(31)):
        both = with_edits(desired, added(first, second)).at(moment)
        assert both == desired.at(moment) + first.at(moment) + second.at(moment)


def test_a_line_keeps_its_edits() -> None:
    kept = Line("c", "s", 1, 2, OURS, OURS, 1).respecting(priced((1, 7, "11")), until=day(31))
    assert kept.wanted == priced((1, 7, "11"))
    assert parse(Line, document(kept)) == kept
