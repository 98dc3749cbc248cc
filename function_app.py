"""The function app: its blueprints, and nothing else. Importing it reads no setting and opens no connection."""

from __future__ import annotations

import azure.functions as func

from functions.http_actions import (
    access,
    actions,
    bulk,
    dead_letters,
    mappings,
    migrations,
    operations,
    previews,
    prices,
    renewals,
    service,
    subscriptions,
    upgrades,
)
from functions.queue_autotask import push
from functions.timer_sync import full, measure, sweep, wake

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for part in (
    service,
    subscriptions,
    previews,
    actions,
    upgrades,
    migrations,
    renewals,
    bulk,
    operations,
    mappings,
    prices,
    dead_letters,
    access,
    full,
    wake,
    sweep,
    measure,
    push,
):
    app.register_functions(part.blueprint)
