"""Upgrades against a scripted server: what can be had, what is sent, and what each answer amounts to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.errors import Misconfigured, NotFound, Refused, RetryLater
from shared.domain.outcomes import Busy, ChangeRefused, Started, Unknown, Unreached, UpgradeDone
from shared.domain.upgrade import (
    Destination,
    Progress,
    Transition,
    TransitionRequest,
    UpgradeOption,
    UpgradeResult,
)
from shared.partner_center.transitions import Transitions
from tests.adapters.conftest import HANG, NOW, RESET, Answer, Server
from tests.adapters.partner_center_script import LATER, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from shared.ports import TransitionsPort

pytestmark = pytest.mark.anyio
PATH = "/v1/customers/c/subscriptions/s"
TARGET = "CFQ7TTC0LCHC:0002:CFQ7TTC0SIM2"
ELIGIBILITY: dict[str, Any] = {
    "operationId": "1caf8ec7-62cc-4ab5-b35d-572d2a629701",
    "catalogItemId": TARGET,
    "title": "Microsoft 365 Business Premium",
    "quantity": 25,
    "subscriptionEligibilities": [
        {
            "isEligible": False,
            "subscriptionId": "92301B7D-7598-4938-B6F2-D31E080E9D05",
            "subscriptionFriendlyName": "Business Premium monthly",
            "subscriptionTermDuration": "P1M",
            "subscriptionBillingCycle": "monthly",
            "errors": [{"code": 3, "description": "Shorter."}],
        },
    ],
    "eligibilities": [
        {"isEligible": True, "transitionType": "transition_only", "errors": []},
        {
            "isEligible": False,
            "transitionType": "transition_with_license_transfer ",
            "errors": [{"code": "conflicting_service_types", "description": "Conflicting services."}, 99],
        },
    ],
}
TAKEN: dict[str, Any] = {
    "operationId": "1CAF8EC7-62cc-4ab5-b35d-572d2a629702",
    "fromCatalogItemId": "CFQ7TTC0LDPB:0001:CFQ7TTC0SIM1",
    "toCatalogItemId": TARGET,
    "quantity": 25,
    "Events": [{"Name": "Conversion", "Status": "Started ", "Timestamp": "2026-05-06T18:01:14.7488618Z"}],
}
REQUEST = TransitionRequest(TARGET, 25, "transition_only")
OPTION = UpgradeOption("796b6b5f", "E3", eligible=True, reasons=(), quantity=12, raw={"upgradeType": 1, "kept": [None]})


@pytest.fixture
async def transitions(server: Server) -> AsyncIterator[TransitionsPort]:
    async with opened(server.url) as session:
        yield Transitions(session)


async def start(
    transitions: TransitionsPort, request: TransitionRequest = REQUEST, deadline: datetime = LATER
) -> object:
    return await transitions.transition("c", "s", request, request_id="the-request", deadline=deadline)


async def upgrade(transitions: TransitionsPort) -> object:
    return await transitions.upgrade("c", "s", OPTION, request_id="the-request", deadline=LATER)


def taken(answer: object) -> Transition:
    assert isinstance(answer, Started)
    return answer.transition


async def test_options_with_their_reasons_and_destinations(server: Server, transitions: TransitionsPort) -> None:
    server.script = [Answer(200, {"totalCount": 1, "items": [ELIGIBILITY, {"title": "without a catalogue item"}]})]
    (option,) = await transitions.transition_options("c", "s", scheduled=False)
    assert (option.target, option.title, option.quantity) == (TARGET, "Microsoft 365 Business Premium", 25)
    only, transfer = option.types
    assert (only.name, only.eligible, only.reasons) == ("transition_only", True, ())
    assert (transfer.name, transfer.eligible) == ("transition_with_license_transfer", False)
    assert [(each.code, each.text) for each in transfer.reasons] == [
        ("conflicting_service_types", "Conflicting services."),
        ("99", ""),
    ]
    (destination,) = option.destinations
    assert destination == Destination(
        "92301b7d-7598-4938-b6f2-d31e080e9d05",
        "Business Premium monthly",
        "P1M",
        "monthly",
        eligible=False,
        reasons=destination.reasons,
    )
    assert destination.reasons[0].code == "subscription_term_duration_shorter_than_source_term_duration"
    assert option.type("TransitionOnly") is only
    assert option.type("none") is None
    (request,) = server.received
    assert (request.path, request.query) == (f"{PATH}/transitionEligibilities", {"eligibilityType": "immediate"})


async def test_options_at_renewal_have_no_destinations(server: Server, transitions: TransitionsPort) -> None:
    bare = {name: value for name, value in ELIGIBILITY.items() if name not in ("subscriptionEligibilities", "quantity")}
    server.script = [Answer(200, {"items": [bare]}), Answer(200, {"items": []})]
    (option,) = await transitions.transition_options("c", "s", scheduled=True)
    assert (option.destinations, option.quantity) == ((), None)
    assert server.received[0].query == {"eligibilityType": "scheduled"}
    assert await transitions.transition_options("c", "s", scheduled=True) == ()


@pytest.mark.parametrize(("status", "code"), [(403, 900263), (400, "800012"), (400, 900279), (403, 13605)])
async def test_what_the_subscription_rules_out_is_refused_with_microsofts_words(
    server: Server, transitions: TransitionsPort, status: int, code: object
) -> None:
    server.script = [Answer(status, {"code": code, "description": "Not here."})] * 3
    for asked in (
        transitions.transition_options("c", "s", scheduled=False),
        transitions.transitions("c", "s"),
        transitions.upgrade_options("c", "s"),
    ):
        with pytest.raises(Refused) as caught:
            await asked
        assert caught.value.code == "refused_by_partner_center"
        assert caught.value.details["partnerCenterCode"] == str(code)
        assert caught.value.details["partnerCenterText"] == "Not here."


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404, {"code": 20003}), NotFound),
        (Answer(403, {"code": 20002}), NotFound),
        (Answer(403, {"code": 900150}), Misconfigured),
        (Answer(403, {"code": 777777}), Misconfigured),
        (Answer(200, b"<html>"), RetryLater),
        (Answer(200, {"nothing": []}), RetryLater),
    ],
)
async def test_options_that_cannot_be_read(
    server: Server, transitions: TransitionsPort, answer: Answer, error: type[Exception]
) -> None:
    server.script = [answer]
    with pytest.raises(error):
        await transitions.transition_options("c", "s", scheduled=False)


async def test_only_what_was_chosen_is_sent(server: Server, transitions: TransitionsPort) -> None:
    server.script = [Answer(200, TAKEN)] * 2
    await start(transitions)
    await start(transitions, TransitionRequest(TARGET, 7, "transition_only", "t", "P1Y", "one_time", "promo"))
    first, second = server.received
    plain = {"fromSubscriptionId": "s", "toCatalogItemId": TARGET, "quantity": 25, "transitionType": "transition_only"}
    assert (first.method, first.path, first.body) == ("POST", f"{PATH}/transitions", plain)
    assert first.headers["ms-requestid"] == "the-request"
    assert second.body == plain | {
        "quantity": 7,
        "toSubscriptionId": "t",
        "termDuration": "P1Y",
        "billingCycle": "OneTime",
        "promotionId": "promo",
    }


async def test_a_transition_that_was_taken(server: Server, transitions: TransitionsPort) -> None:
    server.script = [Answer(200, TAKEN)]
    found = taken(await start(transitions))
    assert (found.operation_id, found.target, found.quantity) == (TAKEN["operationId"].lower(), TARGET, 25)
    assert found.started_at == datetime(2026, 5, 6, 18, 1, 14, 748861, UTC)
    assert found.outcome().progress is Progress.STARTED


@pytest.mark.parametrize(
    "body",
    [
        {"toCatalogItemId": TARGET, "quantity": "25"},
        {"TOCATALOGITEMID": TARGET, "Quantity": 25, "Events": None},
        {"items": [{"toCatalogItemId": TARGET, "quantity": 25}]},
        {"transition": [{"toCatalogItemId": TARGET, "quantity": 25}]},
    ],
)
async def test_an_operation_id_may_be_missing(server: Server, transitions: TransitionsPort, body: object) -> None:
    server.script = [Answer(201, body)]
    assert taken(await start(transitions)) == Transition(None, TARGET, 25, None, ())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(400, {"code": 900259, "description": "same"}), ChangeRefused(400, "900259", "same")),
        (Answer(403, {"code": "900263", "description": "legacy"}), ChangeRefused(403, "900263", "legacy")),
        (Answer(400, {"code": 123456, "description": "new"}), ChangeRefused(400, "123456", "new")),
        (Answer(400, {"code": 900261, "description": "soon"}), Busy("900261", "soon", timedelta(minutes=2))),
        (Answer(409, {"code": 900278}), Busy("900278", "", timedelta(hours=24))),
        (Answer(429, b"", {"Retry-After": "7"}), Busy("429", "", timedelta(seconds=7))),
        (Answer(500, {"code": 800003}), Unknown("Partner Center answered with status 500, code 800003")),
        (Answer(200, {}), Unknown("success, but without a readable transition")),
        (Answer(200, b"<html>"), Unknown("success, but without a readable transition")),
        (Answer(202, b""), Unknown("success, but without a readable transition")),
    ],
)
async def test_a_transition_that_was_not_clearly_taken(
    server: Server, transitions: TransitionsPort, answer: Answer, expected: object
) -> None:
    server.script = [answer]
    assert await start(transitions) == expected
    assert len(server.received) == 1


@pytest.mark.parametrize("fault", [HANG, RESET], ids=["timeout", "reset"])
async def test_a_lost_answer_is_unknown_and_nothing_is_repeated(
    server: Server, transitions: TransitionsPort, fault: Answer
) -> None:
    server.script = [fault, fault]
    assert isinstance(await start(transitions), Unknown)
    assert isinstance(await upgrade(transitions), Unknown)
    assert len(server.received) == 2


async def test_nothing_is_sent_after_the_deadline(server: Server, transitions: TransitionsPort) -> None:
    assert isinstance(await start(transitions, deadline=NOW), Unreached)
    assert server.received == []


@pytest.mark.parametrize("root", ["items", "transition", "Transitions", None])
async def test_the_history_under_any_root(server: Server, transitions: TransitionsPort, root: str | None) -> None:
    server.script = [Answer(200, {root: [TAKEN, {}]} if root else [TAKEN, {}])]
    known, empty = await transitions.transitions("c", "s", operation="the-operation")
    assert known.operation_id == TAKEN["operationId"].lower()
    assert [(event.name, event.status) for event in known.events] == [("Conversion", "Started")]
    assert empty == Transition(None, "", None, None, ())
    assert (server.received[0].path, server.received[0].query) == (
        f"{PATH}/transitions",
        {"operationId": "the-operation"},
    )


async def test_a_licence_that_did_not_follow_is_a_warning(server: Server, transitions: TransitionsPort) -> None:
    events = [
        {"name": "Conversion", "status": "Completed", "timestamp": "2026-05-06T18:37:41.591855Z"},
        {
            "name": "LicenseReassignment",
            "status": "Failed",
            "timestamp": "2026-05-06T18:49:02.331855Z",
            "errors": [{"code": 12, "description": "License reassignment failed for one or more users."}],
        },
    ]
    server.script = [Answer(200, {"items": [TAKEN | {"Events": events, "toSubscriptionId": "T"}]})]
    (found,) = await transitions.transitions("c", "s")
    assert server.received[0].query == {}
    assert found.to_subscription == "t"
    assert found.outcome().progress is Progress.COMPLETED_WITH_WARNING
    assert found.outcome().text == "License reassignment failed for one or more users."


async def test_legacy_upgrades(server: Server, transitions: TransitionsPort) -> None:
    raw = {
        "targetOffer": {"id": "796B6B5F-613C", "name": "Office 365 Enterprise E3"},
        "upgradeType": "upgrade_only",
        "isEligible": False,
        "quantity": 12,
        "upgradeErrors": [{"code": 11, "description": "GDAP"}],
    }
    server.script = [Answer(200, {"items": [raw, {}]})]
    option, empty = await transitions.upgrade_options("c", "s")
    assert (option.offer_id, option.name, option.eligible) == ("796b6b5f-613c", "Office 365 Enterprise E3", False)
    assert (option.quantity, option.raw) == (12, raw)
    assert [reason.code for reason in option.reasons] == ["insufficient_granular_admin_permissions"]
    assert empty == UpgradeOption("", "", eligible=False, reasons=(), quantity=None, raw={})
    assert server.received[0].path == f"{PATH}/upgrades"


async def test_a_legacy_upgrade_sends_the_option_back_unchanged_to_the_source(
    server: Server, transitions: TransitionsPort
) -> None:
    users = [{"userObjectId": "u", "name": "Sample User", "errors": []}] * 2
    body = {"sourceSubscriptionId": "S", "targetSubscriptionId": "T", "upgradeErrors": [], "licenseErrors": users}
    server.script = [Answer(200, body)]
    done = await upgrade(transitions)
    assert done == UpgradeDone(UpgradeResult("s", "t", (), 2))
    assert "Sample User" not in repr(done)
    (request,) = server.received
    assert (request.method, request.path, request.body) == ("POST", f"{PATH}/upgrades", OPTION.raw)
    assert request.headers["ms-requestid"] == "the-request"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            Answer(200, {"upgradeErrors": [{"code": 6, "description": "Add-ons."}, {"code": "user_context_required"}]}),
            ChangeRefused(200, "subscription_add_ons_present", "Add-ons. Microsoft wants a signed-in user for this."),
        ),
        (
            Answer(200, {"upgradeErrors": [{"code": "4", "description": "Busy."}]}),
            Busy("concurrency_conflicts", "Busy.", timedelta(minutes=2)),
        ),
        (
            Answer(200, {"targetSubscriptionId": "T", "upgradeErrors": [{"code": 0}]}),
            Unknown("the upgrade names a new subscription and errors"),
        ),
        (Answer(200, {}), Unknown("success, but without a readable result of the upgrade")),
        (Answer(200, b"oops"), Unknown("success, but without a readable result of the upgrade")),
        (Answer(400, {"code": 800012, "description": "inactive"}), ChangeRefused(400, "800012", "inactive")),
        (Answer(503), Unknown("Partner Center answered with status 503")),
    ],
)
async def test_a_legacy_upgrade_that_was_not_clearly_done(
    server: Server, transitions: TransitionsPort, answer: Answer, expected: object
) -> None:
    server.script = [answer]
    assert await upgrade(transitions) == expected
    assert len(server.received) == 1
