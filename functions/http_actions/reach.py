"""Lists as one caller may see them: everything, or his customers one after the other.

A limited caller's list is read customer by customer, so that neither the work nor an empty page depends on how many
customers there are that he may not see.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from functions.http_actions.endpoint import MAX_PAGE, Call
from functions.http_actions.problems import BadRequest

T = TypeVar("T")
Page = tuple[list[T], str | None]
Read = Callable[[str | None, int, str | None], Awaitable[Page[T]]]

_MARK = ("customer", "mark")


async def within_reach(call: Call, read: Read[T]) -> Page[T]:
    """One page of a list. `read` takes a customer (None: all of them), a size and where to go on from.

    Raises BadRequest for a page size or continuation that is not ours.
    """
    customers = call.caller.reach.customers
    if customers is None:
        return await read(None, *call.page())
    size, continuation = call.page(names=_MARK)
    start = json.loads(continuation) if continuation else {"customer": "", "mark": ""}
    mark: str | None = start["mark"] or None
    found: list[T] = []
    for customer in sorted(customer for customer in customers if customer >= start["customer"]):
        items, mark = await read(customer, size - len(found), mark if customer == start["customer"] else None)
        found += items
        if mark is not None or len(found) == size:
            # Past this customer the next page begins with whoever follows: "!" sorts before every digit and letter
            return found, json.dumps({"customer": customer if mark else f"{customer}!", "mark": mark or ""})
    return found, None


async def all_within_reach(call: Call, read: Read[T], *, most: int) -> list[T]:
    """Every item of a list, for a file. Raises BadRequest where there are more than `most`."""
    customers = call.caller.reach.customers
    found: list[T] = []
    for customer in [None] if customers is None else sorted(customers):
        mark: str | None = None
        while True:
            items, mark = await read(customer, MAX_PAGE, mark)
            found += items
            if len(found) > most:
                raise BadRequest("too_many_lines", f"These are more than {most} lines; ask for fewer.", status=422)
            if mark is None:
                break
    return found
