"""What the previews say, from the facts alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.preview import preview
from shared.domain.subscription import Family, State
from tests.documents.generated import NOW, example


def test_remaining_time_is_that_of_the_window() -> None:
    seen = preview(Action.CANCEL, example(Family.NCE_LICENSE, State.ACTIVE, window_open=True), NOW)

    assert seen.remaining == timedelta(days=3)


def test_closed_window_has_no_time_left_and_no_refund() -> None:
    seen = preview(Action.CANCEL, example(Family.NCE_LICENSE, State.ACTIVE, window_open=False), NOW)

    assert seen.remaining == timedelta()
    assert seen.refund is None


@pytest.mark.parametrize(("quantity", "seats"), [(8, 2), (10, None), (12, None), (1, 9)])
def test_refund_counts_the_seats_that_are_given_back(quantity: int, seats: int | None) -> None:
    subscription = example(Family.NCE_LICENSE, State.ACTIVE, window_open=True)

    refund = preview(Action.CHANGE_QUANTITY, subscription, NOW, quantity).refund

    assert (refund.seats if refund else None) == seats


def test_legacy_suspension_does_not_speak_of_auto_renew() -> None:
    seen = preview(Action.SUSPEND, example(Family.LEGACY_LICENSE, State.ACTIVE, window_open=False), NOW)

    assert seen.losses == ()
