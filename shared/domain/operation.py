"""An operation: one intention on one subscription, with its Partner Center leg and its Autotask legs.

States and transitions are data here; who moves an operation and how it is stored live in `shared.usecases` and
`shared.storage`. An operation is a value: every change makes a new one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from shared.domain.detected import Cause, FieldChange
from shared.domain.jobs import MigrationJob, UpgradeJob
from shared.domain.known import Intention, Known, Memory
from shared.domain.planning import DriftPolicy
from shared.domain.shortfalls import Shortfall
from shared.domain.timeline import Target

_GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ADDRESS = re.compile(f"({_GUID})_({_GUID})_([1-9][0-9]{{0,9}})", re.ASCII)

CRASH_LIMIT = 8  # attempts begun and never ended in order before an operation is called poison


class Kind(StrEnum):
    """What was intended."""

    SUSPEND = "suspend"
    REACTIVATE = "reactivate"
    CHANGE_QUANTITY = "change_quantity"
    CANCEL = "cancel"
    UPGRADE = "upgrade"
    MIGRATE = "migrate"
    SCHEDULE_MIGRATION = "schedule_migration"  # Microsoft shall migrate later; also a change of such a schedule
    CANCEL_MIGRATION_SCHEDULE = "cancel_migration_schedule"
    SCHEDULE_RENEWAL = "schedule_renewal"
    REMOVE_SCHEDULE = "remove_schedule"
    AUTO_RENEW_ON = "auto_renew_on"
    AUTO_RENEW_OFF = "auto_renew_off"
    DETECTED = "detected"  # sync saw a change that nobody asked us for
    MOVED = "moved"  # seats came here, or went, by the operation of another subscription
    MAP = "map"  # a subscription's line was named, changed or given up
    CHANGE_PRICE = "change_price"  # what its units are billed at, or cost
    UNDO = "undo"  # the bill goes back to what it was without another operation
    RECONCILE = "reconcile"  # its line differs from what was last verified, and somebody wants that dealt with


class PartnerStatus(StrEnum):
    """How far the Partner Center leg has come."""

    PENDING = "pending"  #: accepted; the call is being made or is still to be made
    UNKNOWN = "unknown"  #: the call got no clear answer; settled by re-reading the subscription
    WORKING = "working"  #: Microsoft answered 202 and is still at it
    APPLIED = "applied"  #: the subscription was seen in the wanted state
    REFUSED = "refused"  #: it did not happen and will not
    NOT_NEEDED = "not_needed"  #: nothing to do at Microsoft
    TIMED_OUT = "timed_out"  #: Microsoft accepted it and never said how it ended; a person has to look


class LegStatus(StrEnum):
    """How far one Autotask line has come for this operation."""

    HELD = "held"  #: waits for the Partner Center leg
    REVIEW = "review"  #: detected; waits for a person who releases or dismisses it
    OPEN = "open"  #: to be pushed now
    WAITING = "waiting"  #: to be pushed at `retry_at`
    SYNCED = "synced"  #: verified in Autotask
    DEAD = "dead"  #: needs a person; the reason says why
    DISMISSED = "dismissed"  #: a person decided that it shall not be pushed
    NOT_NEEDED = "not_needed"  #: the operation was refused at Microsoft, so there is nothing to bill


LEG_TRANSITIONS: dict[LegStatus, frozenset[LegStatus]] = {
    LegStatus.HELD: frozenset({LegStatus.OPEN, LegStatus.NOT_NEEDED}),
    LegStatus.REVIEW: frozenset({LegStatus.OPEN, LegStatus.DISMISSED}),
    LegStatus.OPEN: frozenset(
        {LegStatus.OPEN, LegStatus.WAITING, LegStatus.SYNCED, LegStatus.DEAD, LegStatus.DISMISSED}
    ),
    LegStatus.WAITING: frozenset(
        {LegStatus.OPEN, LegStatus.WAITING, LegStatus.SYNCED, LegStatus.DEAD, LegStatus.DISMISSED}
    ),
    LegStatus.DEAD: frozenset({LegStatus.OPEN, LegStatus.SYNCED, LegStatus.DEAD, LegStatus.DISMISSED}),
    LegStatus.SYNCED: frozenset(),
    LegStatus.DISMISSED: frozenset(),
    LegStatus.NOT_NEEDED: frozenset(),
}

_OPEN_AT_MICROSOFT = frozenset(
    {
        PartnerStatus.PENDING,
        PartnerStatus.UNKNOWN,
        PartnerStatus.WORKING,
        PartnerStatus.APPLIED,
        PartnerStatus.REFUSED,
    }
)
PARTNER_TRANSITIONS: dict[PartnerStatus, frozenset[PartnerStatus]] = {
    PartnerStatus.PENDING: _OPEN_AT_MICROSOFT | {PartnerStatus.NOT_NEEDED},
    PartnerStatus.UNKNOWN: _OPEN_AT_MICROSOFT,
    PartnerStatus.WORKING: _OPEN_AT_MICROSOFT | {PartnerStatus.TIMED_OUT},
    PartnerStatus.APPLIED: frozenset(),
    PartnerStatus.REFUSED: frozenset(),
    PartnerStatus.NOT_NEEDED: frozenset(),
    PartnerStatus.TIMED_OUT: frozenset(),
}

PUSHABLE = frozenset({LegStatus.OPEN, LegStatus.WAITING})
UNSETTLED_AT_MICROSOFT = frozenset({PartnerStatus.PENDING, PartnerStatus.UNKNOWN, PartnerStatus.WORKING})


@dataclass(frozen=True, slots=True)
class Address:
    """Where an operation is found: customer and subscription (lower-case GUIDs) and its sequence number from 1."""

    customer: str
    subscription: str
    sequence: int

    @property
    def owner(self) -> tuple[str, str]:
        """Customer and subscription."""
        return self.customer, self.subscription

    def __str__(self) -> str:
        return f"{self.customer}_{self.subscription}_{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read the textual form. Raises ValueError where it is not one."""
        found = _ADDRESS.fullmatch(text.lower())
        if found is None:
            raise ValueError("not an operation id")
        return cls(found[1], found[2], int(found[3]))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits or is dead: a stable code, a sentence, what helps, and the vendor's own words."""

    code: str
    sentence: str
    remedy: str = ""
    vendor_text: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """A person's decision about a drift: it is valid only for the reading that the person saw."""

    policy: DriftPolicy
    reading: str


@dataclass(frozen=True, slots=True)
class DriftSeen:
    """The three numbers of a drift on its first day, with the rates that are known, and the reading's fingerprint."""

    on: date
    verified: int
    actual: int
    desired: int
    reading: str
    verified_price: Decimal | None = None
    actual_price: Decimal | None = None
    desired_price: Decimal | None = None
    verified_cost: Decimal | None = None
    actual_cost: Decimal | None = None
    desired_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line is still to be found or made: on the contract, for the service that the product is billed as.

    The billing policy is that of subscription `like`.
    """

    contract: int
    product: str
    term: str
    billing: str
    like: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One line's part of an operation. `line` is the Autotask contract service id, 0 while it has a place only."""

    line: int
    contract: int
    target: Target
    status: LegStatus = LegStatus.HELD
    started: int = 0  # attempts begun since the last one that ended in order
    retries: int = 0
    retry_at: datetime | None = None
    reason: Reason | None = None
    drift: DriftSeen | None = None
    permission: Permission | None = None
    decided: bool = False  # a person re-submitted it after looking: an accepted adjustment may be planned anew
    decided_at: datetime | None = None
    settled_at: datetime | None = None
    shortfalls: tuple[Shortfall, ...] = ()
    place: Place | None = None

    def decided_after(self, moment: datetime) -> bool:
        """Whether a person decided about what was sent until a moment; what was sent later needs another decision."""
        return self.decided and self.status in PUSHABLE and (self.decided_at is None or self.decided_at > moment)

    def to(self, status: LegStatus) -> Leg:
        """The leg in another status. Raises ValueError where the table of transitions does not know the step."""
        if status not in LEG_TRANSITIONS[self.status]:
            raise ValueError(f"a leg cannot go from {self.status} to {status}")
        return replace(self, status=status)


@dataclass(frozen=True, slots=True)
class PartnerLeg:
    """The Partner Center leg. Nothing is sent after `send_by`; the request id is kept over every repetition."""

    status: PartnerStatus
    request_id: str
    send_by: datetime | None = None
    not_before: datetime | None = None  # Microsoft asked to be left alone until then
    attempts: int = 0
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Death:
    """The message that carries a dead operation into the dead-letter queue, and its delivery once it is known."""

    at: datetime
    message: str
    sequence_number: int | None = None


@dataclass(frozen=True, slots=True)
class MappingChange:
    """What a MAP operation writes: the new line (None: the mapping is removed).

    `customer` and `product` are mappings as JSON that come along where there are none yet, or "".
    """

    line: int | None
    contract: int | None
    document: str = ""  # the mapping row's content as JSON, written when the operation is carried out
    previous: str = ""  # what it takes the place of, to go back to where it cannot be carried out
    adopt: bool = False
    policy_only: bool = False  # line and units stay as they are; only what comes later is billed by the new policy
    customer: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One intention on one subscription. Times are aware UTC; `business_date` is the partner's calendar day."""

    address: Address
    kind: Kind
    intention: Intention
    before: Known
    after: Known
    requested_at: datetime
    requested_by: str
    business_date: date
    partner_center: PartnerLeg
    legs: tuple[Leg, ...] = ()
    alarm_due: datetime | None = None
    events: int = 0
    attempt: int = 0
    death: Death | None = None
    mapping: MappingChange | None = None
    cause: str = ""
    upgrade: UpgradeJob | None = None
    migration: MigrationJob | None = None
    memory: Memory | None = None  # what a suspension switches off
    restores: tuple[Intention, ...] = ()  # what follows at Microsoft once this one has ended there
    follows: int | None = None  # sequence number of the operation that this one belongs to
    followed_by: int | None = None
    linked: str = ""  # the operation of another subscription that this one is a consequence of
    traceparent: str = ""  # W3C: the trace that everything done for it belongs to
    cause_kind: Cause | None = None  # of a detected change
    audit_record: str = ""  # Microsoft's record of it, which also names the account
    changes: tuple[FieldChange, ...] = ()  # of a detected change, beside status and seats
    undoes: int | None = None  # sequence number of the operation whose effect on the bill this one takes back
    undone_by: int | None = None
    schema: int = field(default=1)

    @property
    def writes_known(self) -> bool:
        """Whether its end says how the subscription is from now on: a mapping given up, or a new policy, does not."""
        return self.mapping is None or (self.mapping.line is not None and not self.mapping.policy_only)

    @property
    def settled_at_microsoft(self) -> bool:
        """Whether the Partner Center leg needs nothing any more."""
        return self.partner_center.status not in UNSETTLED_AT_MICROSOFT

    @property
    def took_effect(self) -> bool:
        """Whether the Partner Center leg ended with the intention in force."""
        return self.partner_center.status in {PartnerStatus.APPLIED, PartnerStatus.NOT_NEEDED}

    @property
    def dead(self) -> bool:
        """Whether a line of this operation needs a person."""
        return any(leg.status is LegStatus.DEAD for leg in self.legs)

    @property
    def in_review(self) -> bool:
        """Whether a line of this operation waits for a person's release."""
        return any(leg.status is LegStatus.REVIEW for leg in self.legs)

    @property
    def product_change(self) -> FieldChange | None:
        """The product before and after, where somebody changed it outside this application."""
        return next((change for change in self.changes if change.field == "product"), None)

    @property
    def may_be_listed_dead(self) -> bool:
        """Whether the index of dead letters may name it still: it was dead once, sent again, or dismissed."""
        return self.death is not None or self.attempt > 0 or any(leg.status is LegStatus.DISMISSED for leg in self.legs)

    @property
    def pushable(self) -> bool:
        """Whether a line of this operation is still to be pushed."""
        return self.took_effect and any(leg.status in PUSHABLE and leg.line for leg in self.legs)

    @property
    def unplaced(self) -> Leg | None:
        """The leg whose line is still to be found."""
        legs = (leg for leg in self.legs if leg.status in PUSHABLE and not leg.line)
        return next(legs, None) if self.took_effect else None

    @property
    def needs_notice(self) -> bool:
        """Whether a dead operation has no message yet that carries it into the dead-letter queue."""
        return self.dead and self.death is not None and self.death.sequence_number is None

    @property
    def at_rest(self) -> bool:
        """Whether nothing will happen any more without a person."""
        pushing = any(leg.status in PUSHABLE for leg in self.legs)
        return self.settled_at_microsoft and not pushing and not self.needs_notice

    @property
    def status(self) -> str:
        """The one word that a portal shows."""
        if self.partner_center.status in {PartnerStatus.REFUSED, PartnerStatus.TIMED_OUT}:
            return self.partner_center.status.value
        if not self.settled_at_microsoft:
            return {"working": "working"}.get(self.partner_center.status.value, "settling")
        if not self.legs:
            nothing_to_bill = self.kind is Kind.DETECTED and self.before == self.after
            return "not_applicable" if nothing_to_bill else "done"
        for word in (LegStatus.DEAD, LegStatus.WAITING, LegStatus.OPEN, LegStatus.REVIEW, LegStatus.DISMISSED):
            if any(leg.status is word for leg in self.legs):
                return {"open": "pushing"}.get(word.value, word.value)
        return "synced"

    def leg(self, line: int) -> Leg:
        """The part on one line. Raises KeyError where the operation does not touch the line."""
        for leg in self.legs:
            if leg.line == line:
                return leg
        raise KeyError(line)

    def with_leg(self, changed: Leg) -> Operation:
        """The operation with one line's part exchanged."""
        return replace(self, legs=tuple(changed if leg.line == changed.line else leg for leg in self.legs))

    def with_partner_center(self, status: PartnerStatus, *, code: str = "", text: str = "") -> Operation:
        """The operation after an answer from Microsoft: its legs are released, or not needed any more.

        Raises ValueError where the table of transitions does not know the step.
        """
        if status not in PARTNER_TRANSITIONS[self.partner_center.status]:
            raise ValueError(f"a Partner Center leg cannot go from {self.partner_center.status} to {status}")
        legs = self.legs
        if status in {PartnerStatus.APPLIED, PartnerStatus.NOT_NEEDED}:
            legs = tuple(leg.to(LegStatus.OPEN) if leg.status is LegStatus.HELD else leg for leg in legs)
        elif status in {PartnerStatus.REFUSED, PartnerStatus.TIMED_OUT}:
            legs = tuple(leg.to(LegStatus.NOT_NEEDED) if leg.status is LegStatus.HELD else leg for leg in legs)
        return replace(
            self, legs=legs, partner_center=replace(self.partner_center, status=status, code=code, text=text)
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an operation's history: when, who, what happened, from which word to which, and why."""

    at: datetime
    by: str
    name: str
    before: str
    after: str
    why: str = ""
