"""The function app: its blueprints, and nothing else. Importing it reads no setting and opens no connection."""

from __future__ import annotations

import azure.functions as func

from functions.http_actions import (
    access,
    actions,
    autotask,
    bulk,
    calendars,
    dead_letters,
    mapping_previews,
    mapping_proposals,
    mapping_sheets,
    mappings,
    migrations,
    openapi,
    operations,
    previews,
    prices,
    reconciliation,
    renewals,
    resubmissions,
    reviews,
    service,
    subscriptions,
    syncs,
    undoing,
    upgrades,
    webhooks,
)
from functions.queue_autotask import push
from functions.timer_sync import changes, full, measure, reconcile, retention, sweep, tick, tickets, wake

HTTP = (
    service,
    openapi,
    subscriptions,
    previews,
    actions,
    upgrades,
    migrations,
    renewals,
    bulk,
    operations,
    undoing,
    reviews,
    mappings,
    mapping_previews,
    mapping_proposals,
    mapping_sheets,
    autotask,
    prices,
    dead_letters,
    resubmissions,
    reconciliation,
    syncs,
    calendars,
    webhooks,
    access,
)
TIMERS = (full, tick, changes, wake, sweep, reconcile, tickets, measure, retention)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for part in (*HTTP, *TIMERS, push):
    app.register_functions(part.blueprint)
