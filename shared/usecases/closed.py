"""Keep on a customer's row why Partner Center does not let us see its subscriptions; the next look clears it."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.sync_run import Listed
from shared.storage.read_models import CustomerView
from shared.storage.rows import Stored
from shared.storage.store import WriteConflict
from shared.usecases.app import App


async def keep_problem(app: App, customer: Listed, code: str, sentence: str) -> None:
    """Write the problem, where it is new."""
    row = await app.views.customer(customer.id)
    before = row.value if row else CustomerView(customer.id, customer.name, customer.domain)
    after = replace(
        before,
        name=customer.name or before.name,
        domain=customer.domain or before.domain,
        problem=code,
        problem_text=sentence,
        problem_since=before.problem_since if before.problem == code else app.now(),
        missing_since=None,
    )
    if row is not None and after == before:
        return
    try:
        await app.views.put_customer(Stored(after, row.etag if row else None))
    except WriteConflict:
        return  # somebody else has looked at the same time; the next sync looks again
