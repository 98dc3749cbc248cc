"""Migrations of legacy subscriptions to new commerce: the options, the migration, and its schedules."""

from __future__ import annotations

import azure.functions as func
from typing_extensions import TypedDict

from functions.http_actions import codes
from functions.http_actions.acting import ACTED, SUBSCRIPTION, ActionBody, ConfirmedBody, Seats, Word, perform
from functions.http_actions.endpoint import Answer, Call, Moment, Query, endpoint
from functions.http_actions.problems import Problem, camel, plain
from shared.domain.actions import Action
from shared.domain.asks import Ask, CancelScheduleAsk, MigrateAsk, MigrationScheduleAsk
from shared.domain.migration import MigrationSchedule
from shared.identity import Role
from shared.usecases.options import MigrateOptions, migrate_options

blueprint = func.Blueprint()

_SCHEDULES = f"{SUBSCRIPTION}/migrate/schedules"


class MigrateBody(ConfirmedBody):
    """Term and billing (without them as they are), seats, and whether a new full term begins."""

    term_duration: Word | None = None
    billing_cycle: Word | None = None
    quantity: Seats | None = None
    purchase_full_term: bool = False
    custom_term_end_date: Moment | None = None

    def migration(self) -> MigrateAsk:
        """What is asked for."""
        return MigrateAsk(
            self.term_duration, self.billing_cycle, self.purchase_full_term, self.quantity, self.custom_term_end_date
        )

    def ask(self) -> Ask:
        """See ActionBody."""
        return self.migration()


class ScheduleBody(MigrateBody):
    """The same at a moment, or at the renewal where none is named."""

    target_date: Moment | None = None

    def ask(self) -> Ask:
        """See ActionBody."""
        return MigrationScheduleAsk(self.migration(), self.target_date)


class OptionsQuery(Query):
    """Whether a new full term shall begin."""

    purchase_full_term: bool = False


class Schedules(TypedDict):
    """The scheduled migrations of a subscription."""

    value: list[MigrationSchedule]


@blueprint.function_name("migrate_options")
@blueprint.route(route=f"{SUBSCRIPTION}/migrate/options", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, MigrateOptions, query=OptionsQuery, refuses=(*codes.RULES, "add_on"))
async def list_migrate_options(call: Call) -> Answer:
    """The terms and billing frequencies that a legacy subscription can be migrated with, and why others not."""
    wanted = MigrateAsk(full_term=call.choice("purchaseFullTerm", ["true", "false"]) == "true")
    found = await migrate_options(call.app, call.guid("customer"), call.guid("subscription"), wanted)
    return Answer(camel(plain(found)))


@blueprint.function_name("migrate")
@blueprint.route(route=f"{SUBSCRIPTION}/migrate", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=MigrateBody, keyed=True, refuses=(*codes.ACTION, *codes.MIGRATING))
async def migrate(call: Call) -> Answer | Problem:
    """Take a legacy subscription with its add-ons to new commerce. It takes hours and cannot be undone."""
    body, request_hash = call.body(MigrateBody)
    return await perform(call, Action.MIGRATE, body, request_hash)


@blueprint.function_name("list_migration_schedules")
@blueprint.route(route=_SCHEDULES, methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, Schedules)
async def list_migration_schedules(call: Call) -> Answer:
    """The scheduled migrations of a subscription, ended ones too."""
    customer, subscription = call.guid("customer"), call.guid("subscription")
    found = await call.app.migrations.migration_schedules(customer, subscription=subscription)
    return Answer({"value": camel(plain(found))})


@blueprint.function_name("schedule_migration")
@blueprint.route(route=_SCHEDULES, methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ScheduleBody, keyed=True, refuses=(*codes.ACTION, *codes.MIGRATING))
async def schedule_migration(call: Call) -> Answer | Problem:
    """Let Microsoft migrate the subscription at a date or at its renewal."""
    body, request_hash = call.body(ScheduleBody)
    return await perform(call, Action.SCHEDULE_MIGRATION, body, request_hash)


@blueprint.function_name("change_migration_schedule")
@blueprint.route(route=f"{_SCHEDULES}/{{schedule}}", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ScheduleBody, keyed=True, refuses=(*codes.ACTION, *codes.MIGRATING))
async def change_migration_schedule(call: Call) -> Answer | Problem:
    """Replace what a scheduled migration will do."""
    body, request_hash = call.body(ScheduleBody)
    ask = MigrationScheduleAsk(body.migration(), body.target_date, call.guid("schedule"))
    return await perform(call, Action.SCHEDULE_MIGRATION, body, request_hash, ask=ask)


@blueprint.function_name("cancel_migration_schedule")
@blueprint.route(route=f"{_SCHEDULES}/{{schedule}}", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=ActionBody, keyed=True, refuses=(*codes.ACTION, *codes.MIGRATING))
async def cancel_migration_schedule(call: Call) -> Answer | Problem:
    """Keep a scheduled migration from taking place."""
    body, request_hash = call.body(ActionBody)
    ask = CancelScheduleAsk(call.guid("schedule"))
    return await perform(call, Action.CANCEL_MIGRATION_SCHEDULE, body, request_hash, ask=ask)
