"""Whether each dependency answers, by name; for the `ready` route and for the gauge of it.

A vendor that refuses our credentials is left alone as long as the push leaves it alone: whoever asks too often is
locked out, and must not be because somebody looked whether it is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.domain.contract import Threshold
from shared.domain.errors import CspError, Misconfigured, RetryLater, VendorError
from shared.usecases.app import App

_SECONDS = 10
_STOPPABLE = {"partnerCenter": "partner_center", "autotask": "autotask"}


@dataclass(frozen=True, slots=True)
class State:
    """Whether a dependency answers, what it said where it does not, and until when and why calls to it are stopped."""

    healthy: bool
    reason: str = ""
    stopped: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of each dependency, and what Autotask said of its request budget, if it said something."""

    states: dict[str, State]
    threshold: Threshold | None

    @property
    def healthy(self) -> bool:
        """Whether everything answers."""
        return all(state.healthy for state in self.states.values())


async def readiness(app: App) -> Readiness:
    """Ask each dependency once; nothing is raised, and none is waited for longer than ten seconds."""
    checks: dict[str, Awaitable[Any]] = {
        "tableStorage": app.ledger.head("ready", "ready"),
        "partnerCenter": anext(app.partner_center.customers(), []),
        "autotask": _threshold(app),
        "serviceBus": app.queue.dead_letters(1),
        "fullSync": _full_sync(app),
    }
    answers = await asyncio.gather(*(_ask(check) for check in checks.values()))
    found = dict(zip(checks, answers, strict=True))
    threshold = found["autotask"][1]
    states = {name: state for name, (state, _) in found.items()}
    for name, vendor in _STOPPABLE.items():
        states[name] = replace(states[name], stopped=await _stop(app, vendor))
    return Readiness(states, threshold if isinstance(threshold, Threshold) else None)


async def _stop(app: App, vendor: str) -> tuple[datetime, str] | None:
    """The stop of a vendor that lasts, with its reason; readiness without table storage tells no stop."""
    try:
        found = await app.coordination.stopped_until(vendor)
    except CspError:
        return None
    return found if found is not None and found[0] > app.now() else None


async def _ask(check: Awaitable[Any]) -> tuple[State, Any]:
    try:
        async with asyncio.timeout(_SECONDS):
            return State(healthy=True), await check
    except TimeoutError:
        return State(healthy=False, reason=f"no answer within {_SECONDS} seconds"), None
    except CspError as error:
        return State(healthy=False, reason=str(error)), None


async def _full_sync(app: App) -> None:
    run = (await app.sync.runs.state()).value.current
    if run is not None and run.stopped:
        raise Misconfigured(f"the full sync has stopped: {run.problem}")


async def _threshold(app: App) -> Threshold:
    stop = await _stop(app, "autotask")
    if stop is not None:
        raise RetryLater(f"calls are stopped until {stop[0]:%Y-%m-%d %H:%M:%S} UTC: {stop[1]}")
    try:
        return await app.autotask.threshold()
    except VendorError:
        raise  # what is wrong with this one question does not keep the push from its own
    except Misconfigured as error:
        await app.coordination.stop("autotask", app.now() + app.times.misconfigured, error.reason)
        raise
