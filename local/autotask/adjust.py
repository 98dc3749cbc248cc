"""ContractServiceAdjustments: the checks in the order that Autotask is believed to make them, then the effect.

`hand_edit` is the same change made by a person in the UI: it obeys only the contract's window and zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from local.autotask.errors import RuleError, no_such_reference
from local.autotask.rows import RECURRING_SERVICE, day_of, line_row
from local.autotask.timeline import Adjustment, fold, step_on
from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from local.autotask.tables import Row
    from local.autotask.tenant import Tenant

OUTSIDE_CONTRACT = (
    "ContractServiceAdjustment effectiveDate must be between the start date and end date of the Contract "
    "referenced by contractID."
)
DUPLICATE = "Attempt to insert duplicate data into contract_service_period"
POSTED = (
    "Unable to make changes as it would result in the deletion/modification of an already approved and posted "
    "contract period"
)
NOT_RECURRING = "The Contract referenced by contractID must be a Recurring Service contract."
NEGATIVE = "ContractServiceAdjustment unitChange must not reduce the units of the ContractService below zero."
IN_BUNDLE = "The ContractService is part of a ContractServiceBundle and cannot be adjusted by itself."
NO_CHANGE = "ContractServiceAdjustment requires a unitChange, an adjustedUnitPrice or an adjustedUnitCost."


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A parsed adjustment."""

    effective: date
    unit_change: int
    price: float | None
    cost: float | None
    contract_id: int | None
    line_id: int | None
    service_id: int | None
    repeat: bool


def adjust(tenant: Tenant, body: dict[str, Any], parent_id: int | None = None) -> Adjustment:
    """Check an adjustment from the API and let it take effect.

    Raises:
        RuleError: a rule of Autotask or of a switch refuses it; nothing has changed.
    """
    wanted = _parse(body, parent_id)
    line, new = _resolve(tenant, wanted)
    contract = tenant.contract_of(line)
    start, end = tenant.window(contract)
    if not start <= wanted.effective <= end:
        raise RuleError(OUTSIDE_CONTRACT)
    if line["id"] in tenant.bundled:
        raise RuleError(IN_BUNDLE)
    _check_units(tenant, line, wanted)
    if (
        wanted.unit_change == 0
        and wanted.price is None
        and wanted.cost is None
        and tenant.switches["noChange"] == "reject"
    ):
        raise RuleError(NO_CHANGE)
    _check_same_date(tenant, line["id"], wanted.effective)
    _check_posted(tenant, line, wanted.effective)
    if new:
        tenant.add_line(line)
    return _apply(tenant, line, wanted)


def hand_edit(
    tenant: Tenant, line_id: int, effective: date, unit_change: int, price: float | None, cost: float | None
) -> Adjustment:
    """Change a line as a person would do it in the UI; adds the note that the UI adds.

    Raises:
        ControlError: no such line, a date outside the contract, or fewer than 0 units.
    """
    line = tenant.lines.get(line_id)
    if line is None:
        raise ControlError(f"there is no contract service {line_id}")
    start, end = tenant.window(tenant.contract_of(line))
    if not start <= effective <= end:
        raise ControlError(f"effectiveDate must be from {start} to {end}, the days of the contract")
    if _lowest_units(tenant, line, effective, unit_change) < 0:
        raise ControlError("the line would have fewer than 0 units")
    adjustment = tenant.add_adjustment(line_id, effective, unit_change, price, cost, "manual")
    tenant.note(
        line["contractID"], "Service units adjusted", f"Line {line_id}: {unit_change:+d} units from {effective}"
    )
    return adjustment


def _resolve(tenant: Tenant, wanted: _Wanted) -> tuple[Row, bool]:
    """Return the line that an adjustment means, and whether it has to be made."""
    line = None
    contract_id = wanted.contract_id
    if wanted.line_id is not None:
        line = tenant.lines.get(wanted.line_id)
        if contract_id is None and line is not None:
            contract_id = line["contractID"]
    contract = None if contract_id is None else tenant.contracts.get(contract_id)
    if contract is None:
        raise no_such_reference("contractServiceID" if wanted.contract_id is None else "contractID")
    if contract["contractType"] != RECURRING_SERVICE:
        raise RuleError(NOT_RECURRING)
    if wanted.line_id is not None:
        if line is None or line["contractID"] != contract["id"]:
            raise no_such_reference("contractServiceID")
        return line, False
    service = None if wanted.service_id is None else tenant.services.get(wanted.service_id)
    if service is None:
        raise no_such_reference("serviceID")
    lines = tenant.lines.with_value("contractID", contract["id"])
    existing = next((one for one in lines if one["serviceID"] == service["id"]), None)
    if existing is not None and not wanted.repeat:
        return existing, False
    number = tenant.lines.next_id()
    return line_row(number, contract["id"], service["id"], service["unitPrice"], service["unitCost"] or 0.0), True


def _check_units(tenant: Tenant, line: Row, wanted: _Wanted) -> None:
    if tenant.switches["negativeUnits"] == "accept" or wanted.unit_change >= 0:
        return
    if _lowest_units(tenant, line, wanted.effective, wanted.unit_change) < 0:
        raise RuleError(NEGATIVE)


def _lowest_units(tenant: Tenant, line: Row, effective: date, unit_change: int) -> int:
    """Return the fewest units on the date and every later one, after the change."""
    steps = fold(tenant.in_effect(line["id"]), 0.0, 0.0)
    at_start = step_on(steps, effective)
    later = [step.units for step in steps if step.start > effective]
    return min([at_start.units if at_start else 0, *later]) + unit_change


def _check_same_date(tenant: Tenant, line_id: int, effective: date) -> None:
    if tenant.switches["sameDate"] == "accept":
        return
    any_source = tenant.switches["sameDateSources"] == "all"
    for adjustment in tenant.in_effect(line_id):
        if adjustment.effective == effective and (any_source or adjustment.source == "api"):
            raise RuleError(DUPLICATE)


def _check_posted(tenant: Tenant, line: Row, effective: date) -> None:
    posted = tenant.posted.get(line["id"])
    if not posted:
        return
    if max(posted) >= effective:
        raise RuleError(POSTED)
    if tenant.switches["posted"] == "reject" and any(
        segment.end >= effective for segment in tenant.segments(line) if segment.start in posted
    ):
        raise RuleError(POSTED)


def _apply(tenant: Tenant, line: Row, wanted: _Wanted) -> Adjustment:
    price, cost = wanted.price, wanted.cost
    if tenant.switches["omittedPrice"] == "list":
        price = line["unitPrice"] if price is None else price
        cost = line["unitCost"] if cost is None else cost
    adjustment = tenant.add_adjustment(line["id"], wanted.effective, wanted.unit_change, price, cost, "api")
    if tenant.switches["adjustmentNotes"] == "on":
        text = f"Line {line['id']}: {wanted.unit_change:+d} units from {wanted.effective}"
        tenant.note(line["contractID"], "Contract service adjusted through the API", text)
    return adjustment


def _parse(body: dict[str, Any], parent_id: int | None) -> _Wanted:
    named = {key.lower(): value for key, value in body.items()}
    contract_id = _whole(named, "contractID")
    if parent_id is not None:
        if contract_id not in (None, parent_id):
            raise RuleError("contractID does not match the parent of this request.")
        contract_id = parent_id
    if not named.get("effectivedate"):
        raise RuleError("Missing Required Field: effectiveDate")
    try:
        effective = day_of(str(named["effectivedate"]))
    except ValueError as error:
        raise RuleError(f"Could not convert string to DateTime: {named['effectivedate']}.") from error
    line_id, service_id = _whole(named, "contractServiceID"), _whole(named, "serviceID")
    if line_id is None and (contract_id is None or service_id is None):
        raise RuleError("Either contractServiceID or contractID and serviceID is required.")
    repeat = named.get("allowrepeatservice")
    if not isinstance(repeat, bool | None):
        raise RuleError(f"Unexpected character encountered while parsing value: {str(repeat)[:1]}")
    return _Wanted(
        effective,
        _whole(named, "unitChange") or 0,
        _amount(named, "adjustedUnitPrice"),
        _amount(named, "adjustedUnitCost"),
        contract_id,
        line_id,
        service_id,
        bool(repeat),
    )


def _whole(named: dict[str, Any], name: str) -> int | None:
    value = _amount(named, name)
    if value is not None and value != int(value):
        raise RuleError(f"Input string '{value}' is not a valid integer. Path '{name}'.")
    return None if value is None else int(value)


def _amount(named: dict[str, Any], name: str) -> float | None:
    value = named.get(name.lower())
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RuleError(f"Unexpected character encountered while parsing value: {str(value)[:1]}")
    return value
