"""Imports of mappings: how far one has come, and what became of its rows."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from functions.http_actions.answers.common import Moment
from shared.domain.mapping_import import Change, RowStatus


class RowCounts(TypedDict):
    """How many rows have come how far."""

    pending: int
    unchanged: int
    done: int
    refused: int


"""How many rows have come how far."""


class ImportLinks(TypedDict):
    """Where the import is, its rows, and those that were refused."""

    self: str
    rows: str
    refused: str


class Import(TypedDict):
    """An import of mappings, or a dry run of one."""

    id: str
    dryRun: bool
    status: Literal["running", "finished"]
    requestedAt: Moment
    requestedBy: str
    finishedAt: Moment | None
    size: int
    counts: RowCounts
    links: ImportLinks
    pausedUntil: NotRequired[Moment]
    pausedBecause: NotRequired[str]


class ImportRow(TypedDict):
    """A row of the sheet; the members of a customer, an offer, or a subscription."""

    row: int
    kind: Literal["customer", "product", "subscription"]
    customerId: NotRequired[str]
    companyId: NotRequired[int]
    companyName: NotRequired[str | None]
    product: NotRequired[str]
    termDuration: NotRequired[str]
    billingCycle: NotRequired[str]
    serviceId: NotRequired[int]
    serviceName: NotRequired[str | None]
    subscriptionId: NotRequired[str]
    contractId: NotRequired[int]
    contractServiceId: NotRequired[int | None]
    createsLine: NotRequired[bool]
    units: NotRequired[Literal["adopt", "push"] | None]
    operation: NotRequired[str | None]
    status: RowStatus
    change: Change | None
    code: NotRequired[str]
    detail: NotRequired[str]
    column: NotRequired[str | None]
    retryAt: NotRequired[Moment]
