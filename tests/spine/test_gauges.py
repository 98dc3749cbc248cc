"""The metrics that alerts ask for: they rise with what is wrong and fall when it is healed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from azure.data.tables import TableServiceClient

from shared.metrics import METRICS, SYNC_AGE
from shared.settings import load
from shared.storage.alarms import Alarms
from shared.storage.azure_tables import AzureTables
from shared.storage.ledger import Ledger
from shared.storage.read_models import ReadModels
from shared.usecases.measuring import NOT_READ, Backlog, backlog_of
from shared.wiring import build
from tests.spine.conftest import IMPATIENT
from tests.spine.observer import Observer, Point, number
from tests.spine.test_dead_letters import decide, refused_by_autotask
from tests.spine.test_reconciliation import decide as decide_about
from tests.spine.test_reconciliation import found
from tests.spine.world import World, eventually, fault

Measured = dict[str, list[Point]]


TELLING = {**IMPATIENT, "OTEL_METRIC_EXPORT_INTERVAL": "500"}


@pytest.fixture(scope="module")
def telling(running_world: World) -> Iterator[None]:
    """Meanwhile the worker's host tells its metrics twice a second, and tries again sooner."""
    running_world.stack.restart("host", TELLING)
    yield
    running_world.stack.restart("host")


@pytest.fixture
def observer(world: World, telling: None) -> Iterator[Observer]:
    with Observer(world.stack) as observer:
        yield observer


def value(measured: Measured, name: str, **attributes: str) -> float:
    (point,) = [point for point in measured[name] if attributes.items() <= point["attributes"].items()]
    return number(point)


def test_a_line_that_differs_is_counted_until_somebody_decides(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    world.edit_by_hand(subject, 3)

    item = found(world, subject)
    differing = value(observer.measured(), "csp.drift.lines")
    decide_about(world, item, "accept").raise_for_status()
    accepted = value(observer.measured(), "csp.drift.lines")

    assert accepted == differing - 1


def test_a_dead_letter_is_counted_and_its_healing_too(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    before = value(observer.measured(), "csp.dead_letters")

    operation = refused_by_autotask(world, subject, subject.quantity + 2)
    dead = value(observer.measured(), "csp.dead_letters")
    decide(world, operation, "resubmit", reason="corrected").raise_for_status()
    world.wait_for_rest(operation)
    healed = value(observer.measured(), "csp.dead_letters")

    assert (dead, healed) == (before + 1, before)


def test_an_open_operation_is_counted_by_its_status_with_its_age(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    before = value(observer.measured(), "csp.operations.open", status="waiting")
    fault(world.autotask, {"path": ".*", "fault": "503", "times": 0})
    operation = world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    eventually(lambda: world.operation(operation)["status"], lambda status: status == "waiting")

    measured = observer.measured()

    assert value(measured, "csp.operations.open", status="waiting") == before + 1
    assert value(measured, "csp.operations.oldest_open.age") > 0
    world.calm()
    world.wait_for_rest(operation)
    assert value(observer.measured(), "csp.operations.open", status="waiting") == before


def test_more_open_operations_than_are_read_are_counted_and_not_guessed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = [world.outside_window() for _ in range(3)]
    fault(world.autotask, {"path": ".*", "fault": "503", "times": 0})
    operations = [world.done(one, "change-quantity", quantity=one.quantity + 1) for one in subjects]
    for operation in operations:
        eventually(lambda: world.operation(operation)["status"], lambda status: status == "waiting")  # noqa: B023 - asked at once
    for name, setting in world.stack.ready["settings"].items():
        monkeypatch.setenv(name, setting)

    async def look() -> tuple[Backlog, Backlog]:
        store = AzureTables(connection_string=world.stack.ready["tables"])
        app = replace(build(load()).app, ledger=Ledger(store), alarms=Alarms(store), views=ReadModels(store))
        found = await backlog_of(app), await backlog_of(app, most=2)
        await store.close()
        return found

    whole, bounded = asyncio.run(look())

    assert sum(whole.open.values()) >= 3
    assert NOT_READ not in whole.open
    assert bounded.open[NOT_READ] >= 1
    assert sum(bounded.open.values()) - bounded.open[NOT_READ] <= 2


def test_each_dependency_is_ready_or_not_by_name(world: World, observer: Observer) -> None:
    names = {"tableStorage", "partnerCenter", "autotask", "serviceBus", "fullSync"}
    well = observer.measured()["csp.ready"]
    fault(world.autotask, {"path": ".*", "fault": "503", "times": 0})

    ill = observer.measured()["csp.ready"]

    assert {point["attributes"]["dependency"]: point["value"] for point in well} == dict.fromkeys(names, 1)
    assert {point["attributes"]["dependency"] for point in ill if not point["value"]} == {"autotask"}
    assert observer.records(event="measured")[-1]["attributes"]["away"] == "['autotask']"


def test_credentials_that_are_refused_are_not_tried_again_by_the_gauges(world: World, observer: Observer) -> None:
    """Repeated refusals lock the API user out; the push waits five minutes after one, and so does whoever looks."""
    settings = {**TELLING, "AUTOTASK_SECRET": "wrong"}
    world.stack.restart("host", settings)
    try:
        with World(world.stack, keep_alive=False), httpx.Client(base_url=world.stack.ready["autotask"]) as autotask:
            autotask.delete("/_control/requests").raise_for_status()
            observer.measured()
            asked = len(autotask.get("/_control/requests").json()["requests"])
            again = observer.measured()["csp.ready"]

            assert asked > 0
            assert len(autotask.get("/_control/requests").json()["requests"]) == asked
            assert [point["value"] for point in again if point["attributes"]["dependency"] == "autotask"] == [0]
    finally:
        world.stack.restart("host", TELLING)
        _forget_stops(world)


def test_a_question_that_autotask_does_not_answer_keeps_no_push_from_its_work(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    fault(world.autotask, {"path": "ThresholdInformation", "fault": "403", "body": {"errors": ["no"]}, "times": 0})
    ill = observer.measured()

    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))

    assert [point["value"] for point in ill["csp.ready"] if point["attributes"]["dependency"] == "autotask"] == [0]


def _forget_stops(world: World) -> None:
    with TableServiceClient.from_connection_string(world.stack.ready["tables"]) as tables:
        tables.get_table_client("coordination").delete_entity("stop", "autotask")


def test_the_requests_to_a_vendor_are_counted_by_their_outcome(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    wanted = {"vendor": "autotask", "status": "503"}
    before = observer.value("csp.vendor.requests", **wanted)
    fault(world.autotask, {"method": "POST", "path": subject.adjustments_path, "fault": "503", "times": 1})

    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))

    eventually(lambda: observer.value("csp.vendor.requests", **wanted), lambda seen: seen > before)


def test_how_long_requests_and_pushes_take_is_recorded(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    pushes = observer.value("csp.push.duration")
    route = "/api/customers/{customer}/subscriptions/{subscription}/change-quantity"

    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))

    eventually(lambda: observer.value("csp.push.duration"), lambda seen: seen > pushes)
    answered = [point for point in observer.points("http.server.request.duration") if point["count"]]
    assert any(point["attributes"]["http.route"] == route for point in answered)
    assert {str(point["attributes"]["http.response.status_code"]) for point in answered} >= {"200"}


def test_a_refused_call_is_counted_by_its_reason(world: World, observer: Observer) -> None:
    before = observer.value("csp.requests.refused", reason="unauthenticated_no_token")

    world.anonymous.get("/customers")

    eventually(
        lambda: observer.value("csp.requests.refused", reason="unauthenticated_no_token"), lambda seen: seen > before
    )


def test_every_metric_of_the_list_is_told_with_its_attributes(world: World, observer: Observer) -> None:
    subject = world.outside_window()
    world.anonymous.get("/customers")
    world.wait_for_rest(world.done(subject, "change-quantity", quantity=subject.quantity + 1))
    observer.measured()

    told = {point["name"]: point for point in observer.points()}

    told.pop(SYNC_AGE.name, None)  # told only after a sync of all customers
    wanted = {metric.name: metric for metric in METRICS if metric is not SYNC_AGE}
    assert told.keys() == wanted.keys()
    assert {name: set(point["attributes"]) for name, point in told.items()} == {
        name: set(metric.attributes) for name, metric in wanted.items()
    }
    assert {name: point["unit"] for name, point in told.items()} == {name: one.unit for name, one in wanted.items()}
