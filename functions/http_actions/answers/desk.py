"""The desk: dead letters with what a re-submission would do, undo, the reconciliation, and tickets."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from functions.http_actions.answers.common import Day, Link, Moment, Money
from functions.http_actions.answers.operations import Approximation, Explanation, Operation, OperationWithEvents
from shared.domain.planning import DriftPolicy
from shared.domain.reconciliation import Mover
from shared.domain.tickets import TicketState


class PlannedAdjustment(TypedDict):
    """An adjustment as it would be sent to Autotask; a rate of null is left out."""

    date: Day
    unitChange: int
    unitPrice: Money | None
    unitCost: Money | None


class BillChange(TypedDict):
    """Days (`end` included; null: to the contract's end) that are billed otherwise, and the money of it."""

    start: Day
    end: Day | None
    unitsBefore: int
    unitsAfter: int
    priceBefore: NotRequired[Money]
    priceAfter: NotRequired[Money]
    costBefore: NotRequired[Money]
    costAfter: NotRequired[Money]
    money: NotRequired[Money]
    perPeriod: bool


class Plan(TypedDict):
    """What one decision about a hand edit would do; `driftPolicy` null: there is none to decide about."""

    driftPolicy: DriftPolicy | None
    adjustments: list[PlannedAdjustment]
    changes: list[BillChange]
    approximations: NotRequired[list[Approximation]]
    blocked: NotRequired[str]


class Unplannable(TypedDict):
    """Why nothing can be planned at this moment."""

    code: str
    sentence: str


class LinePlans(TypedDict):
    """A line as Autotask shows it now, and what each decision would do."""

    contractServiceId: int
    contractId: int
    reading: NotRequired[str]
    handEdited: NotRequired[bool]
    plans: NotRequired[list[Plan]]
    problem: NotRequired[Unplannable]


class Ticket(TypedDict):
    """Our ticket in Autotask; `problem` is Autotask's text where it was refused."""

    id: int | None
    number: str | None
    state: TicketState
    about: str
    problem: str | None


class Ticketed(TypedDict):
    """The ticket about what was found."""

    ticket: Ticket


class DeadLetter(TypedDict):
    """A dead operation, or a message in the broker's dead-letter queue that nothing explains."""

    id: str
    type: Literal["operation", "message"]
    diedAt: Moment | None
    sequenceNumber: int | None
    reasons: list[Explanation]
    operation: NotRequired[Operation | OperationWithEvents]
    resubmission: NotRequired[list[LinePlans]]
    messageId: NotRequired[str]
    body: NotRequired[str]


class OneDeadLetter(TypedDict):
    """A dead operation with its history, what a re-submission would do, and its ticket."""

    id: str
    type: Literal["operation"]
    diedAt: Moment | None
    sequenceNumber: int | None
    reasons: list[Explanation]
    operation: OperationWithEvents
    resubmission: list[LinePlans]
    ticket: Ticket | None


class DeadLetters(TypedDict):
    """A page of dead letters; `brokerUnavailable` where the queue could not be looked into."""

    value: list[DeadLetter]
    nextLink: NotRequired[str]
    brokerUnavailable: NotRequired[str]


class Resubmittable(TypedDict):
    """A dead letter that would be re-submitted."""

    id: str
    reasons: list[Explanation]
    resubmission: list[LinePlans]


class DryRun(TypedDict):
    """A page of what would be re-submitted."""

    value: list[Resubmittable]
    nextLink: NotRequired[str]
    dryRun: Literal[True]


class ResubmissionCounts(TypedDict):
    """How many were re-submitted, were not dead any more, and could not be re-submitted."""

    resubmitted: int
    skipped: int
    failed: int


class JobProblem(TypedDict):
    """What could not be done."""

    about: str
    code: str
    sentence: str


class Resubmission(TypedDict):
    """How far a re-submission of many has come."""

    id: str
    status: Literal["running", "finished"]
    requestedAt: Moment
    requestedBy: str
    finishedAt: Moment | None
    pausedBecause: str | None
    driftPolicy: DriftPolicy
    reason: str
    counts: ResubmissionCounts
    problems: list[JobProblem]
    links: Link


class Swept(TypedDict):
    """How many copies were removed from the broker's dead-letter queue."""

    removed: int


class Warning(TypedDict):  # noqa: A001 - the member's name in the document
    """What a person has to know."""

    code: str
    sentence: str


class UndoPreview(TypedDict):
    """What an undo would do."""

    operation: Operation
    lines: list[LinePlans]
    laterOperations: list[str]
    warnings: list[Warning]


class Finding(TypedDict):
    """A line that is not billed as it should be."""

    customerId: str
    subscriptionId: str
    contractId: int
    contractName: str
    contractServiceId: int
    movers: list[Mover]
    sentence: str
    on: Day | None
    verified: int
    actual: int
    desired: int
    microsoftUnits: int | None
    actualPrice: Money | None
    desiredPrice: Money | None
    monthly: Money | None
    once: Money | None
    reading: str | None
    operations: list[str]
    foundAt: Moment


class Run(TypedDict):
    """A reconciliation with its totals; money is a month's, and what ends by itself once."""

    id: str
    status: Literal["running", "finished"]
    requestedAt: Moment
    requestedBy: str
    finishedAt: Moment | None
    pausedBecause: str | None
    lines: int
    unsettledLines: int
    findings: int
    movers: dict[str, int]
    monthlyTooMuch: Money
    monthlyTooLittle: Money
    onceTooMuch: Money
    onceTooLittle: Money
    unpricedFindings: int
    problems: list[JobProblem]
    links: Link


class Findings(TypedDict):
    """A page of findings; `run` for those who see every customer."""

    value: list[Finding]
    nextLink: NotRequired[str]
    run: NotRequired[Run | None]
