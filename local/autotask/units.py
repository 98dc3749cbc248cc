"""ContractServiceUnits and ContractServices as reads show them; units rows are computed from the line's timeline.

A row's id is its line's id and its first day, so that ids are stable and ascend by line, then date.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date
from typing import TYPE_CHECKING

from local.autotask.rows import day_of, day_text, moment_text
from local.autotask.tables import Selection
from local.autotask.timeline import Segment, segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.autotask.tables import Row
    from local.autotask.tenant import Tenant

ROW_IDS_PER_LINE = 100_000
EPOCH = date(2000, 1, 1)


def row_id(line_id: int, start: date) -> int:
    """Return the id of a line's row that starts on a day."""
    return line_id * ROW_IDS_PER_LINE + (start - EPOCH).days


class LineSource:
    """Contract services with their adjusted price, hidden while a lag hides them."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def get(self, row_id: int) -> Row | None:
        """Return one line."""
        line = self._tenant.lines.get(row_id)
        if line is None or not self._tenant.line_is_visible(row_id):
            return None
        return self._tenant.line_as_read(line)

    def select(self, selection: Selection) -> Iterator[Row]:
        """Yield lines ascending by id."""
        for line in self._tenant.lines.select(selection):
            if self._tenant.line_is_visible(line["id"]):
                yield self._tenant.line_as_read(line)


class UnitsSource:
    """Units rows of visible lines."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def get(self, row_id: int) -> Row | None:
        """Return one row."""
        selection = Selection({"id": {row_id}})
        return next((row for row in self.select(selection) if row["id"] == row_id), None)

    def select(self, selection: Selection) -> Iterator[Row]:
        """Yield rows ascending by id; bounds on dates and ids skip rows without making them."""
        for line in self._tenant.lines.select(_lines(selection)):
            if self._tenant.line_is_visible(line["id"]):
                yield from self._rows(line, selection)

    def _rows(self, line: Row, selection: Selection) -> Iterator[Row]:
        tenant = self._tenant
        periods = tenant.periods(tenant.contract_of(line))
        if selection.ends_from:
            first_day = day_of(selection.ends_from)
            periods = periods[bisect_left(periods, first_day, key=lambda period: period.end) :]
        emit_zero = tenant.switches["zeroRows"] == "emit"
        posted = tenant.posted.get(line["id"], {})
        service = tenant.services.get(line["serviceID"])
        vendor = service["vendorCompanyID"] if service else None
        base = line["id"] * ROW_IDS_PER_LINE
        thirtieths, shows_costs = tenant.switches["proration"] == "thirtieths", tenant.shows_costs
        for segment in segments(periods, tenant.visible_steps(line), thirtieths=thirtieths):
            if selection.starts_until and segment.start.isoformat() > selection.starts_until[:10]:
                return
            number = base + (segment.start - EPOCH).days
            if number > selection.after and (segment.units or emit_zero):
                stamp = posted.get(segment.start)
                row = _row(number, line, segment, moment_text(stamp) if stamp else None, vendor)
                yield row if shows_costs else {**row, "cost": None}


def _row(number: int, line: Row, segment: Segment, posted: str | None, vendor: int | None) -> Row:
    return {
        "id": number,
        "contractID": line["contractID"],
        "contractServiceID": line["id"],
        "serviceID": line["serviceID"],
        "startDate": day_text(segment.start),
        "endDate": day_text(segment.end),
        "units": segment.units,
        "price": segment.price,
        "cost": segment.cost,
        "internalCurrencyPrice": segment.price,
        "approveAndPostDate": posted,
        "organizationalLevelAssociationID": None,
        "vendorCompanyID": vendor,
    }


def _lines(selection: Selection) -> Selection:
    """Translate a selection of units rows into one of lines."""
    keys = {}
    if "id" in selection.keys:
        keys["id"] = {number // ROW_IDS_PER_LINE for number in selection.keys["id"] if isinstance(number, int)}
    elif "contractServiceID" in selection.keys:
        keys["id"] = selection.keys["contractServiceID"]
    elif "contractID" in selection.keys:
        keys["contractID"] = selection.keys["contractID"]
    return Selection(keys, after=selection.after // ROW_IDS_PER_LINE - 1 if selection.after >= 0 else -1)
