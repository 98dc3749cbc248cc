"""The endpoints of migrations: validate, create, get, query, events, and the schedules.

The lists are bare arrays with the continuation in a header. The rules are `migration_rules`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import JSONResponse, Response

from local.partner_center.errors import ApiError
from local.partner_center.given import has
from local.partner_center.migration_rules import Circumstances, check, read_wanted, validation
from local.partner_center.paging import continuation_token, read_position
from local.partner_center.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.partner_center.account import Account
    from local.partner_center.calls import Call, Endpoint
    from local.partner_center.migration_schedules import MigrationSchedule, MigrationSchedules
    from local.partner_center.migrations import Migration, Migrations

    One = TypeVar("One", Migration, MigrationSchedule)

FIVE_MINUTES = 300.0
LARGEST_PAGE = 300


class MigrationEndpoints:
    """The endpoints over an account, its migrations and their schedules."""

    def __init__(self, account: Account, migrations: Migrations, schedules: MigrationSchedules) -> None:
        self._account = account
        self._migrations = migrations
        self._schedules = schedules
        self._validations = Throttle(account.switches, "validationsPerFiveMinutes", FIVE_MINUTES)
        self._creations = Throttle(account.switches, "migrationsPerFiveMinutes", FIVE_MINUTES)

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """The endpoints by method and path; the fixed words come before the id."""
        every = "/v1/customers/{customer}/migrations/newcommerce"
        schedule = every + "/schedules/{schedule}"
        return {
            ("POST", every + "/validate"): self._validate,
            ("POST", every): self._create,
            ("GET", every + "/events"): self._events,
            ("POST", every + "/schedules"): self._schedule,
            ("GET", schedule): self._get_schedule,
            ("PUT", schedule): self._change_schedule,
            ("POST", schedule + "/cancel"): self._cancel_schedule,
            ("GET", every + "/{migration}"): self._get,
            ("GET", "/v1/migrations/newcommerce"): self._query,
            ("GET", "/v1/migrations/newcommerce/schedules"): self._query_schedules,
        }

    def _validate(self, call: Call) -> Response:
        account = self._account
        customer = account.customer(call.customer_id)
        self._validations.count(f"{call.caller.tenant} {customer.id}", account.now())
        customers = account.subscriptions(customer)
        wanted = read_wanted(call.given(), customers)
        return JSONResponse(validation(wanted, Circumstances(account.now(), customers, self._migrations.forced)))

    def _create(self, call: Call) -> Response:
        account = self._account
        customer = account.customer(call.customer_id)
        self._creations.count(call.caller.tenant, account.now())
        customers = account.subscriptions(customer)
        wanted = read_wanted(call.given(), customers)
        check(wanted, Circumstances(account.now(), customers, self._migrations.forced))
        started = self._migrations.start(wanted, call.caller.actor, account.now())
        return JSONResponse(started.resource(), account.switches["migrationCreateStatus"])

    def _get(self, call: Call) -> Response:
        customer = self._account.customer(call.customer_id)
        found = self._migrations.known.get(call.path("migration").lower())
        if found is None or found.customer_id != customer.id:
            raise ApiError(400, 900224, "The migration was not found.")
        return JSONResponse(found.resource())

    def _query(self, call: Call) -> Response:
        found, headers = _page(call, list(self._migrations.known.values()))
        return JSONResponse([one.resource() for one in found], headers=headers)

    def _events(self, call: Call) -> Response:
        customer = self._account.customer(call.customer_id)
        migration, subscription = call.query("migrationId"), call.query("currentSubscriptionId")
        if migration is None and subscription is None:
            raise ApiError(400, 800002, "The request input is invalid: migration_id or current_subscription_id.")
        every = [part for one in self._migrations.known.values() for part in (one, *one.add_ons)]
        found = [
            event
            for one in every
            if one.customer_id == customer.id
            and has({"id": one.id, "legacy": one.wanted.legacy.id}, id=migration, legacy=subscription)
            for event in one.events_resource()
        ]
        return JSONResponse(found)

    def _schedule(self, call: Call) -> Response:
        customer = self._account.customer(call.customer_id)
        made = self._schedules.create(customer, call.given(), call.caller.actor)
        return self._shown(made, self._account.switches["migrationCreateStatus"])

    def _get_schedule(self, call: Call) -> Response:
        return self._shown(self._found_schedule(call))

    def _change_schedule(self, call: Call) -> Response:
        found = self._found_schedule(call)
        self._schedules.update(found, call.given())
        return self._shown(found)

    def _cancel_schedule(self, call: Call) -> Response:
        found = self._found_schedule(call)
        self._schedules.cancel(found)
        return self._shown(found)

    def _query_schedules(self, call: Call) -> Response:
        found, headers = _page(call, list(self._schedules.known.values()))
        return JSONResponse([self._resource(one) for one in found], headers=headers)

    def _found_schedule(self, call: Call) -> MigrationSchedule:
        return self._schedules.find(self._account.customer(call.customer_id), call.path("schedule"))

    def _shown(self, schedule: MigrationSchedule, status: int = 200) -> Response:
        return JSONResponse(self._resource(schedule), status)

    def _resource(self, schedule: MigrationSchedule) -> dict[str, Any]:
        return schedule.resource(self._account.switches["scheduleAddOnsKey"])


def _page(call: Call, every: Sequence[One]) -> tuple[list[One], dict[str, str]]:
    """A page of what the query finds, and the header that leads to the next."""
    asked = {name: call.query(name) for name in ("customerTenantId", "currentSubscriptionId", "externalReferenceId")}
    if not any(asked.values()):
        raise ApiError(400, 800002, "The request input is invalid: at least one id is expected.")
    size = call.query("pageSize") or str(LARGEST_PAGE)
    if not size.isdecimal() or not int(size):
        raise ApiError(400, 3000, "The property 'PageSize' is invalid.")
    bound = f"{call.request.url.path} {asked} {size}"
    first = read_position(bound, call.continuation)
    found = [one for one in every if has(one.values, **asked)]
    last = first + min(int(size), LARGEST_PAGE)
    headers = {"MS-ContinuationToken": continuation_token(bound, last)} if last < len(found) else {}
    return found[first:last], headers
