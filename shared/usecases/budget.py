"""The share of the tenant's requests that the pusher may use up: beyond it the work waits, and nothing is lost.

Autotask allows a tenant so many requests in a rolling hour, to all its integrations together, and answers slower long
before they are used up (Autotask reference 6). A spent share stops the pushers of all instances for a while.
"""

from __future__ import annotations

from datetime import timedelta

from shared.domain.operation import Reason
from shared.usecases.app import App
from shared.usecases.lease import Stopped

_WAIT = timedelta(minutes=5)  # what falls out of the rolling hour meanwhile is enough for some work


async def spent(app: App) -> Stopped | None:
    """Why nothing more may be sent now, and until when; None while there is something left of our share."""
    budget = await app.autotask.budget()
    if budget is None or budget.used < budget.limit * app.budget_percent / 100:
        return None
    until = app.now() + app.times.jittered(min(_WAIT, app.times.retry_max))
    sentence = (
        f"Of the {budget.limit} requests in {budget.minutes} minutes that Autotask allows all integrations together, "
        f"{budget.used} are used; pushes stop at {app.budget_percent:g} %."
    )
    await app.coordination.stop("autotask", until, sentence)
    return Stopped(until, Reason("autotask_budget_spent", sentence))
