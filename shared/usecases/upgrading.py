"""Upgrades: start one at Microsoft, follow it for up to a day, and let the bill follow where the seats have gone.

A transition cannot be undone. It is sent again only after a reading of the transitions and of the subscription showed
that the first one had no effect, and then with the same request id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.actions import Action, NotAllowed, decide
from shared.domain.errors import CspError
from shared.domain.jobs import UpgradeJob
from shared.domain.known import Known
from shared.domain.operation import Leg, Operation, PartnerStatus
from shared.domain.outcomes import ChangeRefused, Started, TransitionOutcome, Unreached, UpgradeDone, UpgradeOutcome
from shared.domain.subscription import State, Subscription, known_of
from shared.domain.upgrade import Progress, Transition, TransitionRequest
from shared.partner_center.wire import parse_subscription
from shared.storage.rows import Stored
from shared.usecases.app import App
from shared.usecases.microsoft import ended
from shared.usecases.moving import from_day, go_on_with, legs_of, legs_of_newcomer, linked
from shared.usecases.rest import look_again
from shared.usecases.settling import (
    Linked,
    about_to_send,
    answered,
    called,
    gave_up,
    keep_polling,
    may_be_looked_at,
    not_taken,
    quiet_until,
    settle_as,
    still_open,
    until,
)

_OLDER = timedelta(seconds=1)  # Microsoft's Date header is cut to the second


async def call(app: App, stored: Stored[Operation]) -> tuple[Stored[Operation], TransitionOutcome | UpgradeOutcome]:
    """Start the upgrade of an operation whose sending is already stored, and store what came of it."""
    operation = stored.value
    job = _job(operation)
    address, request_id = operation.address, operation.partner_center.request_id
    deadline = until(app, operation)
    outcome: TransitionOutcome | UpgradeOutcome
    if job.legacy:
        outcome = await _legacy(app, operation, job, deadline)
    else:
        request = TransitionRequest(
            job.target, job.quantity, job.transition_type, job.to_subscription, job.term, job.billing, job.promotion
        )
        outcome = await app.transitions.transition(
            address.customer, address.subscription, request, request_id=request_id, deadline=deadline
        )
    stored = called(stored, deadline)
    match outcome:
        case Started(transition):
            stored = await _under_way(app, stored, microsoft_id=transition.operation_id)
        case UpgradeDone(result):
            warning = f"{result.license_errors} licences have to be assigned anew." if result.license_errors else ""
            stored = await _under_way(app, stored, made=result.target, warning=warning)
        case ChangeRefused(status, code, text):
            stored = await settle_as(app, stored, PartnerStatus.REFUSED, code=code or str(status), text=text)
        case _:
            stored = await not_taken(app, stored, outcome)
    return stored, outcome


async def _legacy(app: App, operation: Operation, job: UpgradeJob, deadline: datetime) -> UpgradeOutcome:
    """Send back the option that Microsoft names now, unchanged (partner-center reference 9.2)."""
    address = operation.address
    try:
        options = await app.transitions.upgrade_options(address.customer, address.subscription)
    except CspError as error:
        return Unreached(str(error))
    option = next((option for option in options if option.offer_id == job.target and option.eligible), None)
    if option is None:
        return ChangeRefused(409, "target_not_eligible", f"{job.title or job.target} is not eligible any more.")
    return await app.transitions.upgrade(
        address.customer,
        address.subscription,
        option,
        request_id=operation.partner_center.request_id,
        deadline=deadline,
    )


async def _under_way(app: App, stored: Stored[Operation], **found: str | None) -> Stored[Operation]:
    job = replace(_job(stored.value), **{name: value for name, value in found.items() if value})  # type: ignore[arg-type]  # the names of three text fields
    working = Stored(replace(stored.value, upgrade=job), stored.etag)
    return await still_open(app, working, PartnerStatus.WORKING, "Microsoft has taken the upgrade")


def _job(operation: Operation) -> UpgradeJob:
    if operation.upgrade is None:
        raise ValueError(f"{operation.address} is no upgrade")
    return operation.upgrade


@dataclass(frozen=True, slots=True)
class _Look:
    """What Microsoft shows of an upgrade: the source, the transition, and the subscriptions that may have the seats."""

    source: Subscription
    transition: Transition | None
    others: tuple[Subscription, ...]
    observed_at: datetime


async def _look(app: App, operation: Operation) -> _Look:
    address, job = operation.address, _job(operation)
    reading = await app.partner_center.subscription(address.customer, address.subscription)
    transition = None
    if not job.legacy:
        transition = _ours(job, await app.transitions.transitions(address.customer, address.subscription))
    listing = await app.partner_center.subscriptions(address.customer)
    others = tuple(parse_subscription(address.customer, raw) for raw in listing.items)
    return _Look(parse_subscription(address.customer, reading.raw), transition, others, reading.observed_at)


def _ours(job: UpgradeJob, transitions: tuple[Transition, ...]) -> Transition | None:
    """Our transition: by its id, else the newest to this target that is not older than our request."""
    named = next((each for each in transitions if job.microsoft_id and each.operation_id == job.microsoft_id), None)
    like = [
        (each.started_at, each)
        for each in transitions
        if each.target.lower() == job.target.lower()
        and each.quantity in {None, job.quantity}
        and each.started_at is not None
        and each.started_at >= job.observed_at - _OLDER
    ]
    return named or (max(like, key=lambda pair: pair[0])[1] if like else None)


async def settle(app: App, stored: Stored[Operation]) -> None:
    """Settle an open upgrade by reading what has become of it; called by the operation's alarm."""
    if not await may_be_looked_at(app, stored):
        return
    look = await answered(app, stored, _look(app, stored.value))
    if look is None:
        return
    job, status = _job(stored.value), stored.value.partner_center.status
    result = look.transition.outcome() if look.transition is not None else None
    if result is not None and result.progress is Progress.FAILED:
        failed = await settle_as(app, stored, PartnerStatus.REFUSED, code="upgrade_failed", text=result.text)
        await ended(app, failed)
        return
    moved, left = _moved(job, look), _left_the_source(stored.value, look)
    done = result is not None and result.progress is not Progress.STARTED
    if moved is not None and moved.target is not None and await _is_busy(app, moved.target):
        await _poll(app, stored, look)  # only when that one has ended it is known where its seats are billed
    elif moved is not None and (done or (result is None and left)):
        warning = result.text if result is not None and result.progress is Progress.COMPLETED_WITH_WARNING else ""
        await _complete(app, stored, look, moved, warning)
    elif result is not None or left or status is PartnerStatus.WORKING:
        await _poll(app, stored, look)
    elif app.now() < quiet_until(app, stored.value):
        await look_again(app, stored, quiet_until(app, stored.value))
    else:
        await _repeat(app, stored, look)


async def _is_busy(app: App, target: Subscription) -> bool:
    """Whether an operation of the subscription that has the seats now is open at Microsoft, or looks for its line."""
    head = (await app.ledger.head(target.customer_id, target.id)).value
    return head.open_sequence is not None or bool(head.unplaced)


def _left_the_source(operation: Operation, look: _Look) -> bool:
    """Whether the source shows what our upgrade does to it; the same product and seats elsewhere prove nothing."""
    job, source = _job(operation), look.source
    if job.full and (job.legacy or job.to_subscription is not None):
        return source.state is not State.ACTIVE
    if job.full:
        return source.product_key.lower() == job.product.lower()
    return source.quantity == operation.before.quantity - job.quantity


@dataclass(frozen=True, slots=True)
class _Moved:
    """Where the seats are now: on the source itself, or on another subscription."""

    target: Subscription | None


def _moved(job: UpgradeJob, look: _Look) -> _Moved | None:
    """Where the seats can be seen to have gone; None while they are not to be seen."""
    if job.to_subscription is not None:
        joined = next((each for each in look.others if each.id == job.to_subscription), None)
        return _Moved(joined) if joined is not None and joined.quantity > job.joined else None
    if job.full and not job.legacy:
        return _Moved(None) if look.source.product_key.lower() == job.product.lower() else None
    named = job.made or (look.transition.to_subscription if look.transition else None)
    candidates = [each for each in look.others if each.id == named] or [
        each
        for each in look.others
        if each.id != look.source.id
        and each.product_key.lower() == job.product.lower()
        and each.quantity == job.quantity
        and each.creation_date is not None
        and each.creation_date >= job.observed_at - _OLDER
    ]
    same_end = [each for each in candidates if each.commitment_end == look.source.commitment_end]
    newest = max(same_end or candidates, key=lambda each: each.creation_date or job.observed_at, default=None)
    return _Moved(newest) if newest is not None else None


async def _poll(app: App, stored: Stored[Operation], look: _Look) -> None:
    """Microsoft is at it: note which transition it is, and look again later."""
    found = look.transition.operation_id if look.transition is not None else None
    if stored.value.partner_center.status is not PartnerStatus.WORKING or found not in {
        None,
        _job(stored.value).microsoft_id,
    }:
        stored = await _under_way(app, stored, microsoft_id=found)
    text = (
        "Microsoft took the upgrade and has not said within a day how it ended; a later sync finds what became of it."
    )
    polled = await keep_polling(
        app, stored, app.times.upgrade_working, PartnerStatus.TIMED_OUT, "upgrade_timed_out", text
    )
    if polled.value.settled_at_microsoft:
        await ended(app, polled)


async def _complete(app: App, stored: Stored[Operation], look: _Look, moved: _Moved, warning: str) -> None:
    """The seats have moved: the source and the subscription that has them now are billed from that day."""
    operation, job = stored.value, _job(stored.value)
    address = operation.address
    at = _completed_at(look) or look.observed_at
    day = app.business_date(at)
    mapping = await app.mappings.subscription(address.customer, address.subscription)
    mapped = mapping.value if mapping else None
    others: list[Linked] = []
    if moved.target is not None:
        target, before = moved.target, Known("", 0)
        owner = await app.mappings.subscription(address.customer, target.id)
        if job.to_subscription is not None:
            before = replace(known_of(target), quantity=job.joined)
            legs = await legs_of(app, owner.value if owner else None, before, target, day)
        else:
            legs = await legs_of_newcomer(app, mapped, target, day)
        others.append(await linked(app, operation, target, before, legs, day=day))
    if mapped is not None and job.full and moved.target is not None and not _has_more(operation, look.source):
        legs = (Leg(mapped.line, mapped.contract, from_day(0, day)),)  # whatever Microsoft leaves of an emptied source
    else:
        legs = await legs_of(app, mapped, operation.before, look.source, day)
    done = replace(
        operation,
        legs=legs,
        after=known_of(look.source),
        upgrade=replace(job, made=moved.target.id if moved.target else None, warning=warning or job.warning),
    )
    stored = await settle_as(
        app, Stored(done, stored.etag), PartnerStatus.APPLIED, text=warning or job.warning, linked=others
    )
    await ended(app, stored)
    await go_on_with(app, others)


def _has_more(operation: Operation, source: Subscription) -> bool:
    """Whether an emptied source has other seats than before: somebody has added some meanwhile, which did not move."""
    known = known_of(source)
    return known.status == "active" and known.quantity != operation.before.quantity


def _completed_at(look: _Look) -> datetime | None:
    events = look.transition.events if look.transition is not None else ()
    moments = [event.at for event in events if event.at is not None and event.status.lower() == "completed"]
    return min(moments, default=None)


async def _repeat(app: App, stored: Stored[Operation], look: _Look) -> None:
    """Nothing shows that the upgrade was taken: decide anew, then start it again, or give up clearly."""
    operation = stored.value
    decision = decide(Action.UPGRADE, look.source, look.observed_at)
    refusal: tuple[str, str] | None = None
    if known_of(look.source) != operation.before or operation.before.of_another_product(known_of(look.source)):
        refusal = "changed_meanwhile", "Somebody else changed the subscription meanwhile; the upgrade was not started."
    elif isinstance(decision, NotAllowed):
        refusal = decision.code, decision.sentence
    elif gave_up(app, operation):
        refusal = "partner_center_unavailable", "Partner Center gave no clear answer for too long; nothing was changed."
    if refusal is not None:
        code, text = refusal
        await ended(app, await settle_as(app, stored, PartnerStatus.REFUSED, code=code, text=text))
        return
    stored, _ = await call(app, await about_to_send(app, stored))
    if stored.value.settled_at_microsoft:
        await ended(app, stored)
