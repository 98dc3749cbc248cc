"""Whose turn it is in a bulk, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.actions import Action
from shared.domain.asks import (
    Ask,
    CancelScheduleAsk,
    MigrateAsk,
    MigrationScheduleAsk,
    RenewalAsk,
    RestoreAsk,
    UpgradeAsk,
)
from shared.domain.bulk import Item, ItemStatus, Wish, counts, duplicates, next_moment, next_round
from shared.storage.rows import document, parse

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def item(position: int, subscription: str = "", **other: object) -> Item:
    wish = Wish("customer", subscription or f"subscription-{position}", Action.SUSPEND)
    return replace(Item(position, wish), **other)  # type: ignore[arg-type]  # fields of an item


def positions(items: list[Item]) -> list[int]:
    return [found.position for found in items]


def test_each_subscription_has_one_turn_at_a_time_in_the_order_of_the_request() -> None:
    items = [item(3, "b"), item(0, "a"), item(1, "b"), item(2, "a")]
    assert positions(next_round(items, NOW, 10)) == [0, 1]
    settled = [items[0], items[1].accepted("o", NOW), items[2].already_done(NOW), items[3]]
    assert positions(next_round(settled, NOW, 10)) == [2, 3]


def test_an_item_that_waits_holds_up_its_own_subscription_alone() -> None:
    first = item(0, "a").waiting("operation_in_progress", "wait", LATER, counted=True)
    items = [first, item(1, "a"), item(2, "b")]
    assert positions(next_round(items, NOW, 10)) == [2]
    assert positions(next_round(items, LATER, 10)) == [0, 2]


def test_the_same_subscription_id_at_two_customers_is_two_subscriptions() -> None:
    other = replace(item(1, "a"), wish=Wish("other", "a", Action.SUSPEND))
    assert positions(next_round([item(0, "a"), other], NOW, 10)) == [0, 1]


def test_a_round_has_a_limit() -> None:
    assert positions(next_round([item(position) for position in range(9)], NOW, 4)) == [0, 1, 2, 3]


def test_an_item_that_was_begun_twice_without_an_end_goes_alone() -> None:
    items = [item(0), item(1, begun=2), item(2, begun=1), item(3, begun=5)]
    assert positions(next_round(items, NOW, 10)) == [1]
    waiting = items[1].waiting("unavailable", "away", LATER, counted=False)
    assert positions(next_round([items[0], waiting, items[2], items[3]], NOW, 10)) == [3]
    assert positions(next_round([items[0], items[2]], NOW, 10)) == [0, 2]


def test_the_next_moment_is_that_of_the_first_open_item_of_any_subscription() -> None:
    waiting = item(0, "a").waiting("unavailable", "away", LATER, counted=False)
    assert next_moment([waiting, item(1, "a")], NOW) == LATER
    assert next_moment([waiting, item(1, "b")], NOW) == NOW
    assert next_moment([item(0).already_done(NOW), item(1).refused("code", "why", 409, NOW)], NOW) is None


def test_only_what_is_in_the_way_of_one_subscription_is_counted_as_a_try() -> None:
    waiting = item(0, begun=3).waiting("unavailable", "away", LATER, counted=False)
    assert (waiting.tries, waiting.begun, waiting.settled) == (0, 0, False)
    assert waiting.waiting("operation_in_progress", "busy", LATER, counted=True).tries == 1


def test_an_ended_item_keeps_no_trace_of_its_waiting() -> None:
    waiting = item(0).waiting("operation_in_progress", "busy", LATER, counted=True)
    accepted = waiting.accepted("operation", NOW)
    assert (accepted.code, accepted.sentence, accepted.not_before, accepted.settled_at) == ("", "", None, NOW)
    assert accepted.operation == "operation"


def test_every_status_is_counted() -> None:
    found = counts([item(0), item(1).accepted("o", NOW), item(2).accepted("o", NOW)])
    assert found == {status: {"pending": 1, "accepted": 2}.get(status.value, 0) for status in ItemStatus}


def test_duplicates_name_the_first_of_their_kind() -> None:
    first, other = Wish("c", "a", Action.SUSPEND), Wish("c", "a", Action.CHANGE_QUANTITY, 5)
    more = replace(other, quantity=6)
    assert duplicates([first, other, first, more, other, first]) == {2: 0, 4: 1, 5: 0}


MIGRATION = MigrateAsk(term="P1Y", billing="monthly", custom_end=NOW)


@pytest.mark.parametrize(
    "ask",
    [
        None,
        UpgradeAsk("product:sku:availability"),
        UpgradeAsk("product:sku", 3, "subscription", "type", "P1M", "annual", "promotion"),
        MigrateAsk(),
        MIGRATION,
        MigrationScheduleAsk(MigrateAsk()),
        MigrationScheduleAsk(MIGRATION, LATER, "schedule"),
        RenewalAsk(quantity=5),
        RenewalAsk(term="P1Y", billing="monthly", custom_end=NOW),
        RestoreAsk(),
        RestoreAsk(auto_renew=False, schedule=False),
        CancelScheduleAsk("true"),
        CancelScheduleAsk("schedule"),
    ],
    ids=repr,
)
def test_what_an_item_asks_for_survives_its_storage(ask: Ask | None) -> None:
    wish = Wish("c", "s", Action.UPGRADE, 7, "active", 5, ask, ("confirm", "confirmLosses"))
    stored = parse(Item, document(Item(3, wish)))
    assert stored == Item(3, wish)
    assert type(stored.wish.ask) is type(ask)
