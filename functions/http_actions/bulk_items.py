"""The items of a bulk as a portal writes them: each with the members of its single action's body.

The one place that knows which body belongs to which action: a new action is a line of `BODIES`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from functions.http_actions.acting import ActionBody, QuantityBody, ReactivateBody
from functions.http_actions.endpoint import Body, Guid
from functions.http_actions.migrations import MigrateBody, ScheduleBody
from functions.http_actions.problems import InvalidBody, wrong_fields
from functions.http_actions.renewals import RenewalBody
from functions.http_actions.representations import action_name
from functions.http_actions.upgrades import UpgradeBody
from shared.domain.actions import Action
from shared.domain.asks import Ask, CancelScheduleAsk, MigrationScheduleAsk
from shared.domain.bulk import MOST_ITEMS, Wish, duplicates

B = TypeVar("B", bound=Body)

_HEAD = ("customerId", "subscriptionId", "action")


class BulkBody(Body):
    """Up to a hundred actions."""

    items: Annotated[list[dict[str, JsonValue]], Field(min_length=1, max_length=MOST_ITEMS)]


class Head(Body):
    """What every item has."""

    model_config = ConfigDict(extra="ignore")

    customer_id: Guid
    subscription_id: Guid
    action: str


class _ScheduleItem(ScheduleBody):
    """A scheduled migration; with `schedule_id` the one to change."""

    schedule_id: Guid | None = None

    def ask(self) -> Ask:
        """See ActionBody."""
        return MigrationScheduleAsk(self.migration(), self.target_date, self.schedule_id)


class _CancelScheduleItem(ActionBody):
    """The scheduled migration that shall not take place."""

    schedule_id: Guid

    def ask(self) -> Ask:
        """See ActionBody."""
        return CancelScheduleAsk(self.schedule_id)


BODIES: dict[Action, type[ActionBody]] = {
    Action.SUSPEND: ActionBody,
    Action.REACTIVATE: ReactivateBody,
    Action.CHANGE_QUANTITY: QuantityBody,
    Action.CANCEL: ActionBody,
    Action.UPGRADE: UpgradeBody,
    Action.MIGRATE: MigrateBody,
    Action.SCHEDULE_MIGRATION: _ScheduleItem,
    Action.CANCEL_MIGRATION_SCHEDULE: _CancelScheduleItem,
    Action.SCHEDULE_RENEWAL: RenewalBody,
    Action.REMOVE_SCHEDULE: ActionBody,
    Action.AUTO_RENEW_ON: ActionBody,
    Action.AUTO_RENEW_OFF: ActionBody,
}
_ACTIONS = {action_name(action): action for action in BODIES}


def wishes_of(body: BulkBody) -> tuple[Wish, ...]:
    """What the items ask for. Raises InvalidBody naming every field of every item that is wrong."""
    wishes: list[Wish] = []
    errors: list[dict[str, str]] = []
    for position, item in enumerate(body.items):
        found, wrong = _wish_of(item, f"items[{position}]")
        errors += wrong
        if found is not None:
            wishes.append(found)
    if not errors:
        errors = [
            {"field": f"items[{position}]", "message": f"is the same as items[{earlier}]"}
            for position, earlier in duplicates(wishes).items()
        ]
    if errors:
        raise InvalidBody(errors)
    return tuple(wishes)


def _wish_of(item: dict[str, Any], name: str) -> tuple[Wish | None, list[dict[str, str]]]:
    head, errors = _parsed(Head, item, name)
    action = _ACTIONS.get(str(item.get("action")))
    if action is None:
        if isinstance(item.get("action"), str):
            errors.append({"field": f"{name}.action", "message": f"is one of {', '.join(_ACTIONS)}"})
        return None, errors
    body, wrong = _parsed(BODIES[action], {key: value for key, value in item.items() if key not in _HEAD}, name)
    if head is None or body is None:
        return None, errors + wrong
    return (
        Wish(
            customer=head.customer_id,
            subscription=head.subscription_id,
            action=action,
            quantity=body.seats(),
            expect_status=body.expect.status,
            expect_quantity=body.expect.quantity,
            ask=body.ask(),
            confirmed=tuple(sorted(body.confirmed())),
        ),
        [],
    )


def _parsed(kind: type[B], item: dict[str, Any], name: str) -> tuple[B | None, list[dict[str, str]]]:
    try:
        return kind.model_validate_json(json.dumps(item)), []
    except ValidationError as error:
        return None, wrong_fields(error, name)
