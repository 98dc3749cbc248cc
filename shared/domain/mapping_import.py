"""An import of mappings: the rows of a sheet, taken in at once and worked off part by part; pure.

A part is some rows that are stored together. Rows end in one of the final statuses, and what a row asks for never
changes. The order is customers, products, subscriptions, so that later rows find what earlier ones have mapped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from shared.domain.long_work import CRASH_LOOP, MOST_TRIES, LongWork, WorkKind, together
from shared.domain.mapping_sheet import MappingRow, Numbered
from shared.domain.operation import CRASH_LIMIT

MOST_ROWS = 5000
MOST_BYTES = 2 * 1024 * 1024
PART = 40  # rows of a part: its row in storage stays far below a mebibyte


class RowStatus(StrEnum):
    """How far one row has come."""

    PENDING = "pending"  #: its turn has not come, or something that passes is in its way
    UNCHANGED = "unchanged"  #: it is mapped so already
    DONE = "done"  #: it was carried out; of a dry run: it would be
    REFUSED = "refused"  #: it was not and will not be carried out; code and sentence say why


class Change(StrEnum):
    """What carrying a row out means."""

    CREATE = "create"
    CHANGE = "change"
    MOVE = "move"  #: to another line


@dataclass(frozen=True, slots=True)
class Item:
    """One row: `number` in the sheet, what becomes of it, and for a subscription its line and operation.

    `creates_line`: a line is made, or would be. `column` is the one that a refusal is about, or "". `tries` counts the
    times that something was in its way, `begun` those that it was begun and not ended in order.
    """

    number: int
    row: MappingRow
    status: RowStatus = RowStatus.PENDING
    change: Change | None = None
    code: str = ""
    sentence: str = ""
    column: str = ""
    operation: str = ""
    contract: int | None = None
    line: int | None = None
    creates_line: bool = False
    units: str = ""  # adopt or push
    name: str = ""  # of the company or the service
    tries: int = 0
    begun: int = 0
    not_before: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to it here."""
        return self.status is not RowStatus.PENDING

    def started(self) -> Item:
        """It is about to be worked on; one that never came to an end is not any more."""
        return self.refused(*CRASH_LOOP, "") if self.begun >= CRASH_LIMIT else replace(self, begun=self.begun + 1)

    def unchanged(self) -> Item:
        """It is mapped so already."""
        return replace(self, status=RowStatus.UNCHANGED, code="", sentence="", column="", begun=0, not_before=None)

    def done(self, change: Change, *, name: str = "") -> Item:
        """It was carried out, or would be."""
        return replace(self.unchanged(), status=RowStatus.DONE, change=change, name=name)

    def refused(self, code: str, sentence: str, column: str) -> Item:
        """It will not be carried out."""
        return replace(
            self, status=RowStatus.REFUSED, code=code, sentence=sentence, column=column, begun=0, not_before=None
        )

    def waiting(self, code: str, sentence: str, until: datetime, *, counted: bool = True) -> Item:
        """To be tried again. Where it is counted, not the whole vendor in the way, the last of its tries is the end."""
        if counted and self.tries + 1 >= MOST_TRIES:
            return self.refused(code, sentence, "")
        return replace(self, code=code, sentence=sentence, tries=self.tries + counted, begun=0, not_before=until)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows that are stored together."""

    number: int
    items: tuple[Item, ...]

    @property
    def settled(self) -> bool:
        """Whether all its rows are."""
        return all(item.settled for item in self.items)

    def due(self, now: datetime) -> list[Item]:
        """The rows whose turn it is: of one kind, since subscriptions need what customers and products have mapped."""
        left = [item for item in self.items if not item.settled]
        return together(
            [item for item in left if item.row.kind == left[0].row.kind and (item.not_before or now) <= now]
        )

    def next_moment(self, now: datetime) -> datetime:
        """When the next of its rows is due."""
        left = [item for item in self.items if not item.settled]
        return min((item.not_before or now for item in left if item.row.kind == left[0].row.kind), default=now)

    def with_items(self, items: Iterable[Item]) -> Part:
        """The part with some rows exchanged."""
        changed = {item.number: item for item in items}
        return replace(self, items=tuple(changed.get(item.number, item) for item in self.items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(LongWork):
    """The whole. `part` is the part that is worked on; `counts` are those of the parts before it."""

    kind: ClassVar[WorkKind] = WorkKind.IMPORT

    dry_run: bool
    size: int
    parts: int
    part: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def past(self, part: Part) -> Import:
        """The import after a part whose rows are all settled."""
        found = Counter(self.counts) + Counter(item.status.value for item in part.items)
        return replace(self, part=part.number + 1, counts=dict(found))

    @property
    def progress(self) -> dict[RowStatus, int]:
        """How many rows have come how far; those of the part that is worked on count as pending."""
        found = {status: self.counts.get(status.value, 0) for status in RowStatus}
        return found | {RowStatus.PENDING: self.size - sum(self.counts.values())}


def parts_of(rows: Sequence[Numbered]) -> list[Part]:
    """The parts of an import, in the order in which they are carried out."""
    items = [Item(one.number, one.row) for one in rows]
    return [Part(number, tuple(items[start : start + PART])) for number, start in enumerate(range(0, len(items), PART))]
