"""The control paths of this simulator below `/_control/state`, beside those that every simulator has.

- `GET state`: `now`, the stored `companies`, `contracts`, `services`, `lines` (each with `unitsToday`, and
  `adjustments` and `postedRows` as counts; a generated line only once it was adjusted), `contractNotes`, `tickets`,
  `ticketNotes`, `billingItems`, `generated` (how many there are) and `usage` (requests of the hour; most at
  once per entity).
- `GET state/adjustments?contractServiceId=`: every adjustment that ever took effect on the line, in that order, as
  `id`, `contractServiceId`, `effectiveDate`, `unitChange`, `price`, `cost`, `at`, `source` (api, manual, seed) and
  `removedAt` (when a shortened contract deleted it). Without the id: those of all lines that have any of their own.
- `GET state/units?contractServiceId=&date=`: the true `units`, `price` and `cost` per unit on a day (default: today),
  `insideContract`, and the whole timeline as `steps` of `from`, `units`, `price`, `cost`. No lag hides anything here.
- `POST state/post-periods` `{"contractServiceId" | "contractId", "through": date}`: approve and post each row that
  starts on or before the date -> the ids of the newly posted rows per line.
- `POST state/edit` `{"contractServiceId", "effectiveDate", "unitChange", "adjustedUnitPrice"?, "adjustedUnitCost"?}`: a
  hand edit in the UI, source `manual`; neither the same-date rule nor posted periods stop it -> the adjustment.
- `POST state/bundle` `{"contractServiceId", "inBundle"}`: the line becomes part of a service bundle, or not any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.autotask.adjust import hand_edit
from local.autotask.posting import post_rows
from local.autotask.rows import day_of
from local.autotask.timeline import step_on
from local.simulation.control import control_route, json_object
from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from datetime import date

    from starlette.requests import Request
    from starlette.routing import Route

    from local.autotask.limits import Limits
    from local.autotask.tables import Row
    from local.autotask.tenant import Tenant
    from local.autotask.timeline import Adjustment


class StateControl:
    """Reads and changes the tenant outside the API."""

    def __init__(self, tenant: Tenant, limits: Limits) -> None:
        self._tenant = tenant
        self._limits = limits

    def routes(self) -> list[Route]:
        """Return the control routes."""
        return [
            control_route("/state/adjustments", "GET", self._adjustments),
            control_route("/state/units", "GET", self._units),
            control_route("/state/post-periods", "POST", self._post_periods),
            control_route("/state/edit", "POST", self._edit),
            control_route("/state/bundle", "POST", self._bundle),
        ]

    def state(self) -> dict[str, Any]:
        """Return everything that is stored."""
        tenant = self._tenant
        lines = {line["id"]: line for line in tenant.lines.stored()}
        for adjustment in tenant.all_adjustments():
            if adjustment.line_id not in lines:
                lines[adjustment.line_id] = self._line(adjustment.line_id)
        return {
            "now": tenant.clock.now().isoformat(),
            "companies": tenant.companies.stored(),
            "contracts": tenant.contracts.stored(),
            "services": tenant.services.stored(),
            "lines": [self._shown(lines[line_id]) for line_id in sorted(lines)],
            "contractNotes": tenant.contract_notes.stored(),
            "tickets": tenant.tickets.stored(),
            "ticketNotes": tenant.ticket_notes.stored(),
            "billingItems": tenant.billing_items.stored(),
            "generated": {
                "customers": tenant.customers.count,
                "subscriptionsPerCustomer": tenant.customers.subscriptions,
            },
            "usage": {"lastHour": self._limits.used(), "mostAtOnce": dict(self._limits.most_in_flight)},
        }

    def _shown(self, line: Row) -> Row:
        step = step_on(self._tenant.steps(line), self._tenant.clock.now().date())
        return {
            **line,
            "unitsToday": step.units if step else 0,
            "adjustments": len(self._tenant.history(line["id"])),
            "postedRows": len(self._tenant.posted.get(line["id"], {})),
        }

    async def _adjustments(self, request: Request) -> Any:
        if "contractServiceId" not in request.query_params:
            return {"adjustments": [_adjustment(one) for one in self._tenant.all_adjustments()]}
        line = self._line(_number(request.query_params["contractServiceId"], "contractServiceId"))
        return {"adjustments": [_adjustment(one) for one in self._tenant.history(line["id"])]}

    async def _units(self, request: Request) -> Any:
        line = self._line(_number(request.query_params.get("contractServiceId"), "contractServiceId"))
        text = request.query_params.get("date")
        day = _day(text, "date") if text else self._tenant.clock.now().date()
        start, end = self._tenant.window(self._tenant.contract_of(line))
        inside = start <= day <= end
        steps = self._tenant.steps(line)
        step = step_on(steps, day) if inside else None
        return {
            "contractServiceId": line["id"],
            "date": day.isoformat(),
            "insideContract": inside,
            "units": step.units if step else 0,
            "price": step.price if step else line["unitPrice"],
            "cost": step.cost if step else line["unitCost"],
            "steps": [
                {"from": one.start.isoformat(), "units": one.units, "price": one.price, "cost": one.cost}
                for one in steps
            ],
        }

    async def _post_periods(self, request: Request) -> Any:
        body = await json_object(request)
        through = _day(body.get("through"), "through")
        if "contractServiceId" in body:
            lines = [self._line(_number(body["contractServiceId"], "contractServiceId"))]
        else:
            lines = self._tenant.lines.with_value("contractID", _number(body.get("contractId"), "contractId"))
        rows = {str(line["id"]): post_rows(self._tenant, line, through) for line in lines}
        return {"postedRows": rows}

    async def _edit(self, request: Request) -> Any:
        body = await json_object(request)
        line_id = _number(body.get("contractServiceId"), "contractServiceId")
        effective = _day(body.get("effectiveDate"), "effectiveDate")
        price, cost = _amount(body, "adjustedUnitPrice"), _amount(body, "adjustedUnitCost")
        change = _number(body.get("unitChange", 0), "unitChange")
        return _adjustment(hand_edit(self._tenant, line_id, effective, change, price, cost))

    async def _bundle(self, request: Request) -> Any:
        body = await json_object(request)
        line_id = self._line(_number(body.get("contractServiceId"), "contractServiceId"))["id"]
        if body.get("inBundle", True):
            self._tenant.bundled.add(line_id)
        else:
            self._tenant.bundled.discard(line_id)
        return {"inBundle": sorted(self._tenant.bundled)}

    def _line(self, line_id: int) -> Row:
        line = self._tenant.lines.get(line_id)
        if line is None:
            raise ControlError(f"there is no contract service {line_id}")
        return line


def _adjustment(adjustment: Adjustment) -> dict[str, Any]:
    return {
        "id": adjustment.id,
        "contractServiceId": adjustment.line_id,
        "effectiveDate": adjustment.effective.isoformat(),
        "unitChange": adjustment.unit_change,
        "price": adjustment.price,
        "cost": adjustment.cost,
        "at": adjustment.at.isoformat(),
        "source": adjustment.source,
        "removedAt": adjustment.removed_at and adjustment.removed_at.isoformat(),
    }


def _number(value: Any, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise ControlError(f"{name} must be a whole number") from error


def _amount(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ControlError(f"{name} must be a number")
    return value


def _day(value: Any, name: str) -> date:
    try:
        return day_of(str(value))
    except ValueError as error:
        raise ControlError(f"{name} must be a date") from error
