"""Migrations to new commerce against a scripted server: validation, start, query, schedules, add-ons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.errors import Malformed, Misconfigured, NotFound, RetryLater
from shared.domain.migration import (
    AddOnMigration,
    Migration,
    MigrationRequest,
    MigrationStatus,
    ScheduleRequest,
    ScheduleStatus,
)
from shared.domain.outcomes import (
    AlreadyMigrating,
    Busy,
    ChangeRefused,
    MigrationStarted,
    ScheduleCancelled,
    Scheduled,
    Unknown,
    Unreached,
)
from shared.partner_center.migrations import Migrations
from tests.adapters.conftest import HANG, NOW, RESET, Answer, Server
from tests.adapters.partner_center_script import LATER, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.ports import MigrationsPort

pytestmark = pytest.mark.anyio
PATH = "/v1/customers/c/migrations/newcommerce"
REFERENCE = "3f4a1b7e-2c5d-4e8f-9a01-6b7c8d9e0f10"
REQUEST = MigrationRequest(
    "S",
    term="P1Y",
    billing="monthly",
    quantity=12,
    external_reference=REFERENCE,
    add_ons=(AddOnMigration("A", quantity=3), AddOnMigration("B", term="P1M", billing="monthly", full_term=True)),
)
ADD_ONS_SENT = [
    {"currentSubscriptionId": "A", "purchaseFullTerm": False, "quantity": 3},
    {"currentSubscriptionId": "B", "purchaseFullTerm": True, "termDuration": "P1M", "billingCycle": "Monthly"},
]
SENT = {
    "currentSubscriptionId": "S",
    "termDuration": "P1Y",
    "billingCycle": "Monthly",
    "purchaseFullTerm": False,
    "quantity": 12,
    "externalReferenceId": REFERENCE,
}
RUNNING: dict[str, Any] = {
    "addOnMigrations": [{"currentSubscriptionId": "A", "addOnMigrations": [{"currentSubscriptionId": "B"}]}],
    "id": "7123C075-fc05-42d6-a21e-1d2036fa4901",
    "startedTime": "2026-05-06T13:00:48.4489832Z",
    "currentSubscriptionId": "S",
    "status": "Processing",
    "catalogItemId": "CFQ7TTC0LH16:0001:CFQ7TTC0SIM7",
    "subscriptionEndDate": "2026-08-25T00:00:00Z",
    "quantity": 12,
    "termDuration": "P1Y",
    "billingCycle": "Monthly",
    "purchaseFullTerm": False,
    "externalReferenceId": REFERENCE.upper(),
}
COMPLETED = RUNNING | {
    "status": "Completed ",
    "completedTime": "2026-05-06T13:05:40.3844713Z",
    "newCommerceSubscriptionId": "8ADDE5CE",
    "newCommerceOrderId": "8672a13e9197",
}
SCHEDULE: dict[str, Any] = {
    "id": "F016",
    "currentSubscriptionId": "S",
    "status": "Created",
    "quantity": 12,
    "termDuration": "P1Y",
    "billingCycle": "Monthly",
    "migrateOnRenewal": True,
    "createdTime": "2026-05-06T21:20:50.9668605+00:00",
    "addOnMigrationSchedules": [{"currentSubscriptionId": "A"}],
}
UNREADABLE = [Answer(200, {}), Answer(200, b"<html>"), Answer(201, []), Answer(202, b"")]


@pytest.fixture
async def migrations(server: Server) -> AsyncIterator[MigrationsPort]:
    async with opened(server.url) as session:
        yield Migrations(session)


async def migrate(migrations: MigrationsPort, deadline: datetime = LATER) -> object:
    return await migrations.migrate("c", REQUEST, request_id="the-request", deadline=deadline)


async def schedule(migrations: MigrationsPort, at: datetime | None = None) -> object:
    return await migrations.schedule_migration(
        "c", ScheduleRequest(REQUEST, at), request_id="the-request", deadline=LATER
    )


async def change(migrations: MigrationsPort) -> object:
    return await migrations.change_migration_schedule(
        "c", "f", ScheduleRequest(REQUEST), request_id="the-request", deadline=LATER
    )


async def cancel(migrations: MigrationsPort) -> object:
    return await migrations.cancel_migration_schedule("c", "f", request_id="the-request", deadline=LATER)


def started(answer: object) -> Migration:
    assert isinstance(answer, MigrationStarted)
    return answer.migration


async def test_an_eligible_validation(server: Server, migrations: MigrationsPort) -> None:
    nested = {"currentSubscriptionId": "B", "isEligible": True}
    body = {
        "currentSubscriptionId": "S",
        "isEligible": True,
        "termDuration": "P1Y",
        "billingCycle": "Monthly",
        "catalogItemId": "P:S:A",
        "errors": [],
        "addOnMigrations": [{"currentSubscriptionId": "A", "isEligible": False, "addOnMigrations": [nested]}],
    }
    server.script = [Answer(200, body)]
    option = await migrations.validate_migration("c", REQUEST)
    assert (option.subscription, option.term, option.billing) == ("s", "P1Y", "monthly")
    assert (option.eligible, option.reasons, option.catalog_item) == (True, (), "P:S:A")
    assert [(each.subscription, each.eligible, each.term) for each in option.add_ons] == [
        ("a", False, ""),
        ("b", True, "P1M"),
    ]
    (request,) = server.received
    assert (request.method, request.path) == ("POST", f"{PATH}/validate")
    assert request.body == SENT | {"addOnMigrations": ADD_ONS_SENT}


async def test_an_ineligible_validation_names_the_reasons(server: Server, migrations: MigrationsPort) -> None:
    errors = [{"code": 5, "description": "not yet available"}, {"code": "InvalidCustomTermEndDate"}, {"code": 77}]
    server.script = [Answer(200, {"isEligible": False, "errors": errors})]
    option = await migrations.validate_migration("c", REQUEST)
    assert (option.subscription, option.term, option.billing, option.catalog_item) == ("s", "P1Y", "monthly", None)
    assert [(reason.code, reason.text) for reason in option.reasons] == [
        ("new_commerce_product_unavailable", "not yet available"),
        ("invalid_custom_term_end_date", ""),
        ("77", ""),
    ]


@pytest.mark.parametrize(("status", "code"), [(400, 900220), (403, "900226"), (400, 900216), (403, 800023)])
async def test_a_refused_validation_is_an_ineligible_option(
    server: Server, migrations: MigrationsPort, status: int, code: object
) -> None:
    server.script = [Answer(status, {"code": code, "description": "No."})]
    option = await migrations.validate_migration("c", REQUEST)
    assert not option.eligible
    assert [(reason.code, reason.text) for reason in option.reasons] == [(str(code), "No.")]
    assert option.reasons[0].sentence not in ("", "No.")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404, {"code": 20003}), NotFound),
        (Answer(403, {"code": 20002}), NotFound),
        (Answer(403, {"code": 900150}), Misconfigured),
        (Answer(400, {"code": 777777}), Misconfigured),
        (Answer(429, b"", {"Retry-After": "57"}), RetryLater),
        (Answer(200, {}), RetryLater),
        (Answer(200, b"<html>"), RetryLater),
    ],
)
async def test_a_validation_that_says_nothing(
    server: Server, migrations: MigrationsPort, answer: Answer, error: type[Exception]
) -> None:
    server.script = [answer]
    with pytest.raises(error):
        await migrations.validate_migration("c", REQUEST)


async def test_a_validation_changes_nothing_so_it_is_repeated(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(503), RESET, Answer(200, {"isEligible": True})]
    assert (await migrations.validate_migration("c", REQUEST)).eligible


@pytest.mark.parametrize("status", [200, 201])
async def test_a_migration_that_was_taken(server: Server, migrations: MigrationsPort, status: int) -> None:
    server.script = [Answer(status, RUNNING)]
    found = started(await migrate(migrations))
    assert (found.id, found.status) == (RUNNING["id"].lower(), MigrationStatus.PROCESSING)
    assert (found.subscription, found.new_subscription, found.external_reference) == ("s", None, REFERENCE)
    assert found.started_at == datetime(2026, 5, 6, 13, 0, 48, 448983, UTC)
    assert (found.completed_at, found.quantity, found.billing, found.reasons) == (None, 12, "monthly", ())
    assert [each.subscription for each in found.add_ons] == ["a", "b"]
    (request,) = server.received
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["ms-requestid"] == "the-request"
    assert request.body == SENT | {"addOnMigrations": ADD_ONS_SENT}


async def test_choices_that_are_left_open_are_not_sent(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(200, RUNNING)] * 2
    for request in (
        MigrationRequest("S"),
        MigrationRequest("S", custom_end=datetime(2027, 1, 1, 1, 59, 59, tzinfo=timezone(timedelta(hours=2)))),
    ):
        await migrations.migrate("c", request, request_id="r", deadline=LATER)
    least = {"currentSubscriptionId": "S", "purchaseFullTerm": False, "addOnMigrations": []}
    assert server.received[0].body == least
    assert server.received[1].body == least | {"customTermEndDate": "2026-12-31T23:59:59Z"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(400, {"code": 900216, "description": "running"}), AlreadyMigrating("running")),
        (Answer(409, {"code": "900216"}), AlreadyMigrating("")),
        (Answer(400, {"code": 900217, "description": "late"}), ChangeRefused(400, "900217", "late")),
        (Answer(403, {"code": 900226, "description": "young"}), ChangeRefused(403, "900226", "young")),
        (Answer(408, {"code": 900225}), Unknown("Partner Center answered with status 408, code 900225")),
        (Answer(409, {"code": 900278}), Busy("900278", "", timedelta(hours=24))),
        (Answer(429, b"", {"Retry-After": "7"}), Busy("429", "", timedelta(seconds=7))),
        (Answer(500), Unknown("Partner Center answered with status 500")),
    ],
)
async def test_a_migration_or_schedule_that_was_not_taken(
    server: Server, migrations: MigrationsPort, answer: Answer, expected: object
) -> None:
    server.script = [answer] * 3
    assert await migrate(migrations) == expected
    assert await schedule(migrations) == expected
    assert await change(migrations) == expected
    assert len(server.received) == 3


@pytest.mark.parametrize("answer", [HANG, RESET, *UNREADABLE])
async def test_a_lost_or_unreadable_answer_is_unknown_and_nothing_is_repeated(
    server: Server, migrations: MigrationsPort, answer: Answer
) -> None:
    server.script = [answer] * 2
    assert isinstance(await migrate(migrations), Unknown)
    assert isinstance(await schedule(migrations), Unknown)
    assert len(server.received) == 2


async def test_nothing_is_sent_after_the_deadline(server: Server, migrations: MigrationsPort) -> None:
    assert isinstance(await migrate(migrations, deadline=NOW), Unreached)
    assert server.received == []


async def test_one_migration(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(200, COMPLETED), Answer(200, RUNNING | {"status": "Reverting", "errorDescription": "why"})]
    done = await migrations.migration("c", "m/1")
    assert (done.status, done.new_subscription, done.order_id) == (
        MigrationStatus.COMPLETED,
        "8adde5ce",
        "8672a13e9197",
    )
    assert done.completed_at == datetime(2026, 5, 6, 13, 5, 40, 384471, UTC)
    other = await migrations.migration("c", "m")
    assert (other.status, other.status_raw) == (MigrationStatus.UNKNOWN, "Reverting")
    assert [reason.text for reason in other.reasons] == ["why"]
    assert server.received[0].path == f"{PATH}/m%2F1"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(400, {"code": 900224}), "migration"),
        (Answer(404), "migration"),
        (Answer(403, {"code": 20002}), "customer"),
    ],
)
async def test_an_unknown_migration(server: Server, migrations: MigrationsPort, answer: Answer, what: str) -> None:
    server.script = [answer]
    with pytest.raises(NotFound) as caught:
        await migrations.migration("c", "m")
    assert (caught.value.what, caught.value.id) == (what, what[0])


async def test_a_query_reads_the_bare_arrays_of_all_pages(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(200, [RUNNING], {"MS-ContinuationToken": "a,/b=="}), Answer(200, [COMPLETED])]
    found = await migrations.migrations("c", subscription="S", external_reference=REFERENCE)
    assert [each.status for each in found] == [MigrationStatus.PROCESSING, MigrationStatus.COMPLETED]
    first, second = server.received
    asked = {
        "CustomerTenantId": "c",
        "CurrentSubscriptionId": "S",
        "ExternalReferenceId": REFERENCE,
        "PageSize": "300",
    }
    assert (first.path, first.query) == ("/v1/migrations/newcommerce", asked)
    assert "ms-continuationtoken" not in first.headers
    assert (second.query, second.headers["ms-continuationtoken"]) == (asked, "a,/b==")


async def test_a_query_past_the_end_is_the_end(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(200, [RUNNING], {"MS-ContinuationToken": "t"}), Answer(400, {"code": 2000})]
    assert len(await migrations.migrations("c")) == 1
    assert server.received[0].query == {"CustomerTenantId": "c", "PageSize": "300"}


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([Answer(200, [RUNNING], {"MS-ContinuationToken": "t"}), Answer(404, {"code": 1000})], NotFound),
        ([Answer(200, [RUNNING], {"MS-ContinuationToken": "t"})] * 2, Misconfigured),
        ([Answer(200, [{"status": "Processing"}])], Malformed),
        ([Answer(200, {"nothing": []})], RetryLater),
        ([Answer(200, ["oops"])], RetryLater),
    ],
)
async def test_a_query_that_cannot_be_read_is_never_an_empty_one(
    server: Server, migrations: MigrationsPort, answers: list[Answer], error: type[Exception]
) -> None:
    server.script = list(answers)
    with pytest.raises(error):
        await migrations.migrations("c")


async def test_a_schedule_for_the_renewal_or_a_date(server: Server, migrations: MigrationsPort) -> None:
    dated = SCHEDULE | {"migrateOnRenewal": False, "targetDate": "2026-08-01T00:00:00", "status": "Canceled"}
    server.script = [Answer(200, SCHEDULE), Answer(201, dated)]
    on_renewal = await schedule(migrations)
    at_date = await schedule(migrations, datetime(2026, 8, 1, tzinfo=UTC))
    assert isinstance(on_renewal, Scheduled)
    assert isinstance(at_date, Scheduled)
    found = on_renewal.schedule
    assert (found.id, found.subscription, found.status) == ("f016", "s", ScheduleStatus.CREATED)
    assert (found.on_renewal, found.target_date, found.add_ons, found.reason) == (True, None, ("a",), None)
    assert found.created_at == datetime(2026, 5, 6, 21, 20, 50, 966860, UTC)
    assert at_date.schedule.target_date == datetime(2026, 8, 1, tzinfo=UTC)
    assert (at_date.schedule.on_renewal, at_date.schedule.status) == (False, ScheduleStatus.CANCELLED)
    first, second = server.received
    assert (first.method, first.path) == ("POST", f"{PATH}/schedules")
    assert first.body == SENT | {"addOnMigrationSchedules": ADD_ONS_SENT, "migrateOnRenewal": True}
    assert second.body == SENT | {"addOnMigrationSchedules": ADD_ONS_SENT, "targetDate": "2026-08-01T00:00:00Z"}


async def test_schedules_are_listed_with_what_became_of_them(server: Server, migrations: MigrationsPort) -> None:
    failed = SCHEDULE | {"status": "Failed", "errorCode": 7, "errorDescription": "young", "newCommerceMigrationId": "M"}
    late = SCHEDULE | {"errorCode": "900217", "errorDescription": "late"}
    server.script = [Answer(200, [failed, late])]
    found, other = await migrations.migration_schedules("c", subscription="S")
    assert (found.status, found.status_raw, found.migration) == (ScheduleStatus.UNKNOWN, "Failed", "m")
    assert found.reason is not None
    assert (found.reason.code, found.reason.text) == ("subscription_active_for_less_than_one_month", "young")
    assert other.reason is not None
    assert (other.reason.code, other.reason.text) == ("900217", "late")
    assert other.reason.sentence not in ("", "late")
    (request,) = server.received
    assert request.path == "/v1/migrations/newcommerce/schedules"
    assert request.query == {"CustomerTenantId": "c", "CurrentSubscriptionId": "S", "PageSize": "300"}


async def test_a_schedule_is_changed_and_cancelled(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(200, SCHEDULE), Answer(204, b""), Answer(200, SCHEDULE), Answer(503)]
    assert isinstance(await change(migrations), Scheduled)
    assert await cancel(migrations) == ScheduleCancelled()
    assert await cancel(migrations) == ScheduleCancelled()
    assert isinstance(await cancel(migrations), Unknown)
    changed, cancelled, *_ = server.received
    assert (changed.method, changed.path) == ("PUT", f"{PATH}/schedules/f")
    assert changed.body["migrateOnRenewal"] is True
    assert (cancelled.method, cancelled.path, cancelled.body) == ("POST", f"{PATH}/schedules/f/cancel", None)
    assert cancelled.headers["ms-requestid"] == "the-request"


async def test_the_add_ons_of_a_legacy_base(server: Server, migrations: MigrationsPort) -> None:
    server.script = [Answer(200, {"items": [{"id": "A"}]}), Answer(404, {"code": 20003})]
    listing = await migrations.add_ons("c", "s")
    assert (listing.items, listing.observed_at) == (({"id": "A"},), NOW)
    assert server.received[0].path == "/v1/customers/c/subscriptions/s/addons"
    with pytest.raises(NotFound, match="subscription s not found"):
        await migrations.add_ons("c", "s")
