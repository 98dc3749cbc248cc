"""Who may see which customers: given, changed and taken away by whoever holds the role for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.domain.errors import Refused
from shared.storage.grants import Grant, GrantChange, Grants
from shared.storage.rows import Stored


async def find_grant(grants: Grants, caller: str) -> Stored[Grant]:
    """A caller's own grant. Raises Refused with status 404 where there is none."""
    stored = await grants.get(caller)
    if stored is None:
        raise Refused("access_not_found", f"The caller {caller} has no grant of its own.", status=404)
    return stored


async def give(
    grants: Grants, caller: str, customers: Sequence[str] | None, *, note: str, by: str, now: datetime
) -> Grant:
    """Let a caller see these customers and no other, or all of them (None). Raises WriteConflict."""
    kept = tuple(sorted(set(customers or ())))
    new = Grant(caller, kept, now, by, all_customers=customers is None, note=note)
    await grants.put(await grants.get(caller), new)
    return new


async def take_away(grants: Grants, caller: str, *, by: str, now: datetime) -> None:
    """Remove a caller's grant, so that the default holds for him again. Raises Refused, WriteConflict."""
    await grants.remove(await find_grant(grants, caller), GrantChange(now, by))
