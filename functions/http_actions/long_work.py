"""How long work (bulks, imports, jobs of the desk) is found by its id and told of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from functions.http_actions import representations as show
from functions.http_actions.endpoint import GUID, Call
from functions.http_actions.problems import BadRequest, retry_after
from shared.domain.long_work import LongWork

T = TypeVar("T")


async def find(call: Call, name: str, read: Callable[[str], Awaitable[T | None]], *, parameter: str = "") -> T:
    """The one that a route names. Raises BadRequest with status 404 where there is none."""
    identity = call.text(parameter or name).lower()
    found = await read(identity) if GUID.fullmatch(identity) else None
    if found is None:
        raise BadRequest(f"{name}_not_found", f"There is no {name} {identity[:64]}.", status=404)
    return found


def progress(work: LongWork) -> dict[str, Any]:
    """What all have in common."""
    return {
        "id": work.id,
        "status": "finished" if work.finished_at else "running",
        "requestedAt": show.moment(work.requested_at),
        "requestedBy": work.requested_by,
        "finishedAt": show.moment(work.finished_at),
    }


def pause(work: LongWork) -> dict[str, Any]:
    """Until when it waits for a vendor, and why; nothing where it does not."""
    if work.paused_until is None:
        return {}
    return {"pausedUntil": show.moment(work.paused_until), "pausedBecause": work.paused_because}


def look_again(work: LongWork, wait: timedelta) -> dict[str, str]:
    """The header that says when to ask again, until it is over."""
    return {} if work.finished_at else retry_after(wait)
