"""Imports of mappings for the crash tests: a sheet with all three kinds, a refusal, and a line that has to be made."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from shared.domain.mapping_import import Import, Item, Part
from shared.domain.mapping_sheet import CustomerRow, MappingRow, Numbered, ProductRow, SubscriptionRow
from shared.storage.rows import from_row
from shared.usecases.app import App
from shared.usecases.mapping_import import ImportRequest, take_in_import
from tests.crash.scenarios import STANDARD
from tests.world.world import CONTRACT, CUSTOMER, PREMIUM, SERVICE, World, line_id, subscription_id

CALLER = "the caller of an import"
UNKNOWN = 9  # a subscription that Microsoft does not know


def subscription(number: int, line: int | None = None, **more: Any) -> SubscriptionRow:
    return SubscriptionRow(
        CUSTOMER, subscription_id(number), CONTRACT, line=line_id(line) if line is not None else None, **more
    )


SHEET: tuple[MappingRow, ...] = (
    CustomerRow(CUSTOMER, 1),
    ProductRow(STANDARD, "P1Y", "monthly", SERVICE),
    subscription(1, 1),
    subscription(UNKNOWN),
    subscription(2, service=PREMIUM),
)


def import_of(
    *rows: MappingRow, dry_run: bool = False, key: str = "import-1"
) -> Callable[[App], Coroutine[Any, Any, Import]]:
    """Somebody's request for an import; row numbers as in a sheet."""
    numbered = tuple(Numbered(number, row) for number, row in enumerate(rows, start=2))
    request = ImportRequest(CALLER, key, "/api/mappings/import", repr((rows, dry_run)), dry_run, numbered)
    return lambda app: take_in_import(app, request)


async def two_bought(world: World) -> None:
    """Two subscriptions, ten seats on line 1 that bills ten, twenty without a line; nothing is mapped."""
    world.subscribe(1, 10)
    world.subscribe(2, 20)
    world.add_line(1, 10)


def imports_of(world: World) -> list[Import]:
    """All imports."""
    rows = [row for row in world.tables.rows("mappings") if row.key.startswith("I:")]
    return [from_row(Import, row).value for row in rows]


def items_of(world: World) -> dict[int, Item]:
    """The rows of all imports by their number in the sheet."""
    rows = [row for row in world.tables.rows("mappings") if row.key.startswith("P:")]
    return {item.number: item for row in rows for item in from_row(Part, row).value.items}
