"""Delete everything that the tables hold of one customer (docs/adr/0045).

    survey ─▶ refuse while anything is open ─▶ note that it began ─▶ remove ─▶ look again ─▶ note that it ended
                                                                       ▲            │ something came meanwhile
                                                                       └────────────┘

Every step finds what there is by looking at all rows, so that a run which died is simply started again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.bulk import Item
from shared.domain.errors import Refused
from shared.domain.line import Line
from shared.domain.mapping_import import Part
from shared.domain.operation import Operation
from shared.storage import keys
from shared.storage.ledger import Head
from shared.storage.mentions import Forgotten, Mention, Mentions, digest_of
from shared.storage.read_models import CustomerView
from shared.storage.rows import Stored, from_row
from shared.storage.sync_runs import SyncRuns

QUIET = timedelta(hours=2)  # since the last operation: its message and its copies are gone from the queue by then
_ROUNDS = 4


@dataclass
class Survey:
    """What the tables hold of a customer, and what stands against removing it."""

    customer: str
    mentions: list[Mention] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    billed: list[str] = field(default_factory=list)  # lines in Autotask that keep what they bill

    @property
    def found(self) -> dict[str, int]:
        """How many rows there are of each kind, without what nobody has a rule for."""
        return dict(sorted(Counter(mention.kind for mention in self.mentions if mention.known).items()))

    @property
    def unknown(self) -> list[str]:
        """Where rows lie that mention the customer among others and that no rule covers."""
        return sorted({f"{one.table}/{one.row.partition}" for one in self.mentions if not one.known})


async def survey(
    mentions: Mentions, runs: SyncRuns, customer: str, *, now: datetime, quiet: timedelta = QUIET, listed: bool = False
) -> Survey:
    """Look at everything. With `listed` a customer that Partner Center still lists is no obstacle."""
    found = Survey(customer)
    async for mention in mentions.of(customer):
        found.mentions.append(mention)
    if (await runs.state()).value.current is not None:
        found.obstacles.append("a full sync is running, which would write the customer again")
    found.obstacles += sorted(set(_in_the_way(found.mentions, now, quiet, listed=listed)))
    found.billed = sorted({_billed(mention) for mention in found.mentions if mention.kind == "lines"})
    return found


def _in_the_way(mentions: Iterable[Mention], now: datetime, quiet: timedelta, *, listed: bool) -> Iterable[str]:
    for mention in mentions:
        row = mention.row
        match mention.kind:
            case "operations":
                yield from _of_operation(from_row(Operation, row).value, now, quiet)
            case "heads":
                head = from_row(Head, row).value
                if head.open_sequence is not None or head.unplaced:
                    yield f"subscription {head.subscription} has work to do"
            case "lines":
                if from_row(Line, row).value.intent is not None:
                    yield f"an adjustment of line {row.key[2:]} is not settled"
            case "alarms":
                yield "an alarm is set; one without an operation is removed ten minutes after it was due"
            case "bulk items":
                if not from_row(Item, row).value.settled:
                    yield f"bulk {keys.bulk_of(row.partition)} is not over"
            case "rows of imports":
                yield from _of_import(from_row(Part, row).value)
            case "customers" if not listed:
                yield from _of_customer(from_row(CustomerView, row).value)


def _of_customer(view: CustomerView) -> Iterable[str]:
    if view.missing_since is None and not view.problem:
        yield "Partner Center still lists the customer, so that the next sync would write it again"


def _of_import(part: Part) -> Iterable[str]:
    if not part.settled:
        yield "an import of mappings is not over"


def _of_operation(operation: Operation, now: datetime, quiet: timedelta) -> Iterable[str]:
    if operation.dead:
        yield f"operation {operation.address} is dead; re-submit or dismiss it first"
    elif operation.in_review:
        yield f"operation {operation.address} waits for a release"
    elif not operation.at_rest:
        yield f"operation {operation.address} is {operation.status}"
    ended = max([operation.requested_at, *(leg.settled_at for leg in operation.legs if leg.settled_at is not None)])
    if ended > now - quiet:
        yield f"the last operation ended less than {quiet.total_seconds() / 3600:g} hours ago"


def _billed(mention: Mention) -> str:
    line = from_row(Line, mention.row).value
    last = line.verified.steps[-1].units if line.verified.steps else 0
    return f"contract {line.contract}, line {line.line}: {last} units"


async def forget(
    mentions: Mentions,
    runs: SyncRuns,
    customer: str,
    reference: str,
    *,
    now: datetime,
    quiet: timedelta = QUIET,
    listed: bool = False,
) -> Forgotten:
    """Remove it all, and leave a note without the customer.

    Raises Refused naming what stands against it, or what has come or is left; nothing was removed in the first case.
    """
    noted: Stored[Forgotten] | None = await mentions.forgotten(customer, reference)
    for _ in range(_ROUNDS):
        found = await survey(mentions, runs, customer, now=now, quiet=quiet, listed=listed)
        if found.obstacles:
            raise Refused("work_is_open", "; ".join(found.obstacles))
        if noted is None:
            noted = await mentions.note(Stored(Forgotten(digest_of(customer), reference, now, found.found), None))
        first = sorted(found.mentions, key=lambda one: one.table != "mappings")  # from then on nothing new is billed
        await mentions.remove(await _bulks_of_its_own(mentions, found.mentions))
        left = await mentions.remove(first)
        if found.unknown:
            raise Refused("not_covered", f"no rule covers what is left in {', '.join(found.unknown)}")
        if not found.mentions and not left:
            ended = replace(noted.value, ended_at=noted.value.ended_at or now)
            return (await mentions.note(Stored(ended, noted.etag))).value
    raise Refused("changed_meanwhile", "somebody writes to the customer while it is removed; see what, and start again")


async def _bulks_of_its_own(mentions: Mentions, found: Iterable[Mention]) -> list[Mention]:
    """The bulks that are about nobody else. They go before their items, by which they are found."""
    items = Counter(one.row.partition for one in found if one.kind == "bulk items")
    own = [partition for partition, count in items.items() if await mentions.items_in(partition) == count]
    rows = [row for partition in own for row in await mentions.bulk_rows(keys.bulk_of(partition))]
    return [Mention("ledger", row, "bulks") for row in rows]
