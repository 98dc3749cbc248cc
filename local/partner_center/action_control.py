"""The control paths of upgrades and migrations below `/_control/state`, beside those of `control`.

- `GET state/transitions` -> how the next ones go, the reasons put on targets, and every transition
- `POST state/transitions` `{"seconds", "outcome", "licenseSeconds", "ineligible"}` -> how the next ones go
- `POST state/transitions/{id}` `{"outcome"}` -> one that is under way ends now
- `GET state/migrations`, `POST state/migrations`, `POST state/migrations/{id}` -> the same for migrations; a failed
  one is repaired or reverted this way
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from local.partner_center.eligibility import REASONS
from local.partner_center.migration_rules import REFUSALS
from local.partner_center.migrations import MIGRATION_OUTCOMES, MigrationCourse
from local.partner_center.offers import sku_of
from local.partner_center.transitions import TRANSITION_OUTCOMES, Course
from local.simulation.control import control_route, json_object
from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route

    from local.partner_center.account import Account
    from local.partner_center.migration_schedules import MigrationSchedules
    from local.partner_center.migrations import Migrations
    from local.partner_center.subscription import Subscription
    from local.partner_center.transitions import Transitions


class ActionControl:
    """The handlers over upgrades and migrations."""

    def __init__(
        self, account: Account, transitions: Transitions, migrations: Migrations, schedules: MigrationSchedules
    ) -> None:
        self._account = account
        self._transitions = transitions
        self._migrations = migrations
        self._schedules = schedules

    def routes(self) -> list[Route]:
        """The control routes below `state/`."""
        return [
            control_route("/state/transitions", "GET", self.show_transitions),
            control_route("/state/transitions", "POST", self.plan_transitions),
            control_route("/state/transitions/{id}", "POST", self.end_transition),
            control_route("/state/migrations", "GET", self.show_migrations),
            control_route("/state/migrations", "POST", self.plan_migrations),
            control_route("/state/migrations/{id}", "POST", self.end_migration),
        ]

    def of(self, subscription: Subscription) -> dict[str, Any]:
        """What upgrades and migrations have to do with one subscription."""
        switches = self._account.switches
        return {
            "transitions": [
                {"operationId": one.operation_id} | one.resource(switches, in_post=False)
                for one in self._transitions.of(subscription)
            ],
            "migrations": [
                part.resource()
                for one in self._migrations.known.values()
                for part in (one, *one.add_ons)
                if subscription is part.wanted.legacy or subscription is part.made
            ],
            "migrationSchedules": [
                one.resource(switches["scheduleAddOnsKey"])
                for one in self._schedules.known.values()
                if one.wanted.legacy is subscription
            ],
        }

    async def show_transitions(self, _: Request) -> dict[str, Any]:
        """How the next upgrades go, and all there are."""
        return self._shown_transitions()

    async def plan_transitions(self, request: Request) -> dict[str, Any]:
        """Say how the next upgrades go; what is left out stays."""
        wanted = await json_object(request)
        course, known = self._transitions.course, ("seconds", "outcome", "licenseSeconds", "ineligible")
        _check_names(wanted, known)
        planned = Course(
            _seconds(wanted, "seconds", course.seconds),
            _outcome(wanted, TRANSITION_OUTCOMES, course.outcome),
            _seconds(wanted, "licenseSeconds", course.license_seconds),
        )
        self._transitions.forced = _forced(wanted, self._transitions.forced, REASONS, sku_of)
        self._transitions.course = planned
        return self._shown_transitions()

    async def end_transition(self, request: Request) -> dict[str, Any]:
        """Let one end now."""
        wanted = await json_object(request)
        self._account.finish_due()
        for one in self._transitions.all():
            if one.operation_id == request.path_params["id"].lower() and not one.finished:
                self._transitions.end_now(one, _outcome(wanted, TRANSITION_OUTCOMES[:3], "completed"))
                self._account.finish_due()
                return one.resource(self._account.switches, in_post=False)
        raise ControlError("there is no such transition under way")

    async def show_migrations(self, _: Request) -> dict[str, Any]:
        """How the next migrations go, and all there are."""
        return self._shown_migrations()

    async def plan_migrations(self, request: Request) -> dict[str, Any]:
        """Say how the next migrations go; what is left out stays."""
        wanted = await json_object(request)
        course = self._migrations.course
        _check_names(wanted, ("seconds", "outcome", "ineligible"))
        planned = MigrationCourse(
            _seconds(wanted, "seconds", course.seconds), _outcome(wanted, MIGRATION_OUTCOMES, course.outcome)
        )
        self._migrations.forced = _forced(wanted, self._migrations.forced, REFUSALS, str.lower)
        self._migrations.course = planned
        return self._shown_migrations()

    async def end_migration(self, request: Request) -> dict[str, Any]:
        """Let one end now, or change how it has failed while its subscription is still suspended."""
        wanted = await json_object(request)
        self._account.finish_due()
        found = self._migrations.known.get(request.path_params["id"].lower())
        if found is None or found.status == "Completed" or found.wanted.legacy.status != "suspended":
            raise ControlError("there is no such migration that could still end")
        self._migrations.end_now(found, _outcome(wanted, MIGRATION_OUTCOMES[:3], "completed"))
        return found.resource()

    def _shown_transitions(self) -> dict[str, Any]:
        self._account.finish_due()
        course, switches = self._transitions.course, self._account.switches
        return {
            "seconds": course.seconds,
            "outcome": course.outcome,
            "licenseSeconds": course.license_seconds,
            "ineligible": self._transitions.forced,
            "transitions": [
                {"operationId": one.operation_id, "customerId": one.source.customer_id}
                | one.resource(switches, in_post=False)
                for one in self._transitions.all()
            ],
        }

    def _shown_migrations(self) -> dict[str, Any]:
        self._account.finish_due()
        course = self._migrations.course
        return {
            "seconds": course.seconds,
            "outcome": course.outcome,
            "ineligible": self._migrations.forced,
            "migrations": [one.resource() for one in self._migrations.known.values()],
            "schedules": [
                one.resource(self._account.switches["scheduleAddOnsKey"]) for one in self._schedules.known.values()
            ],
        }


def _check_names(wanted: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := set(wanted) - set(known):
        raise ControlError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")


def _seconds(wanted: Mapping[str, Any], name: str, present: float) -> float:
    value = wanted.get(name, present)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ControlError(f"{name} must be a number of 0 or more")
    return float(value)


def _outcome(wanted: Mapping[str, Any], allowed: Sequence[Any], present: Any) -> Any:
    value = wanted.get("outcome", present)
    if value not in allowed:
        raise ControlError(f"outcome must be one of {', '.join(allowed)}")
    return value


def _forced(
    wanted: Mapping[str, Any], present: dict[str, int], known: Mapping[int, object], key: Callable[[str], str]
) -> dict[str, int]:
    value = wanted.get("ineligible", present)
    if not isinstance(value, dict) or not all(number in known for number in value.values()):
        raise ControlError(f"ineligible must be an object whose values are among {', '.join(map(str, known))}")
    return {key(name): number for name, number in value.items()}
