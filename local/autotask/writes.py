"""Creates and updates of every entity but adjustments: POST, PATCH (only what is sent) and PUT (nulls what is not).

The order is: types and picklists, required fields, references, then the entity's own rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.autotask.adjust import NOT_RECURRING, POSTED
from local.autotask.errors import RuleError, no_such_reference
from local.autotask.rows import RECURRING_SERVICE, day_of, day_text, line_row, moment_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.autotask.entities import Entity, Field
    from local.autotask.tables import Row, Table
    from local.autotask.tenant import Tenant

_TYPES: dict[str, type | tuple[type, ...]] = {
    "integer": int,
    "long": int,
    "double": (int, float),
    "string": str,
    "boolean": bool,
    "datetime": str,
}
_DATE_ONLY = frozenset({"startDate", "endDate"})
_CREATED = {
    "Companies": "createDate",
    "Services": "createDate",
    "Tickets": "createDate",
    "TicketNotes": "createDateTime",
}
_MODIFIED = {
    "Contracts": "lastModifiedDateTime",
    "Services": "lastModifiedDate",
    "Tickets": "lastActivityDate",
    "ContractNotes": "lastActivityDate",
    "Companies": "lastTrackedModifiedDateTime",
}


class Writes:
    """The writes of one tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._tables: dict[str, Table] = {
            "Companies": tenant.companies,
            "Contracts": tenant.contracts,
            "Services": tenant.services,
            "ContractServices": tenant.lines,
            "ContractNotes": tenant.contract_notes,
            "Tickets": tenant.tickets,
            "TicketNotes": tenant.ticket_notes,
        }
        self._references: dict[str, Table] = {
            "companyID": tenant.companies,
            "contractID": tenant.contracts,
            "serviceID": tenant.services,
            "contractServiceID": tenant.lines,
            "ticketID": tenant.tickets,
            "billingCodeID": tenant.billing_codes,
        }
        self._rules: dict[str, Callable[[Row, Row | None], None]] = {
            "Contracts": self._contract_rule,
            "Services": self._service_rule,
            "Tickets": self._ticket_rule,
        }

    def create(self, entity: Entity, body: dict[str, Any], parent_id: int | None) -> int:
        """Create a row and return its id.

        Raises:
            RuleError: a value, reference or rule forbids it.
        """
        sent = self._sent(entity, body, parent_id)
        values = {field.name: sent.get(field.name) for field in entity.fields.values() if field.creatable}
        if entity.name == "ContractServices":
            return self._create_line(entity, values)
        row: Row = {field.name: None for field in entity.fields.values()} | values
        if entity.has_udfs:
            row["userDefinedFields"] = _udfs([], body)
        if row.get("isActive", True) is None:
            row["isActive"] = True
        if entity.name in _CREATED:
            row[_CREATED[entity.name]] = moment_text(self._tenant.clock.now())
        self._check(entity, row, None)
        row["id"] = self._tables[entity.name].next_id()
        if entity.name == "Tickets":
            row["ticketNumber"] = f"T{self._tenant.clock.now():%Y%m%d}.{row['id'] % 10_000:04d}"
        self._tables[entity.name].put(row)
        return int(row["id"])

    def update(self, entity: Entity, body: dict[str, Any], parent_id: int | None, *, replace: bool) -> int:
        """Change a row and return its id; `replace` (PUT) nulls every writable field that the body lacks.

        Raises:
            RuleError: no such row, or a value, reference or rule forbids it.
        """
        row_id = {key.lower(): value for key, value in body.items()}.get("id")
        table = self._tables[entity.name]
        before = table.get(row_id) if isinstance(row_id, int) else None
        if before is None or (parent_id is not None and before[entity.parent_field or ""] != parent_id):
            raise RuleError(f"Unable to find {entity.singular} with id {row_id}.")
        sent = self._sent(entity, body, parent_id)
        changes = {}
        for field in entity.fields.values():
            fixed = field.name == "internalDescription" and self._tenant.switches["internalDescription"] == "readOnly"
            if field.updatable and not fixed and (replace or field.name in sent):
                changes[field.name] = sent.get(field.name)
        row = {**before, **changes}
        if entity.has_udfs:
            row["userDefinedFields"] = _udfs([] if replace else before["userDefinedFields"], body)
        self._check(entity, row, before)
        table.put(row)
        return int(row["id"])

    def _sent(self, entity: Entity, body: dict[str, Any], parent_id: int | None) -> dict[str, Any]:
        """Return the known fields of a body with their proper names and stored form; others are ignored."""
        sent = {}
        for key, value in body.items():
            field = entity.fields.get(key.lower())
            if field is not None:
                sent[field.name] = _stored(entity, field, value)
        if parent_id is not None and entity.parent_field is not None:
            if sent.get(entity.parent_field, parent_id) != parent_id:
                raise RuleError(f"{entity.parent_field} does not match the parent of this request.")
            sent[entity.parent_field] = parent_id
        return sent

    def _check(self, entity: Entity, row: Row, before: Row | None) -> None:
        for field in entity.fields.values():
            value = row[field.name]
            if field.required and value in (None, ""):
                raise RuleError(f"Missing Required Field: {field.name}")
            table = self._references.get(field.name)
            changed = before is None or before[field.name] != value
            if table is not None and value is not None and changed and table.get(value) is None:
                raise no_such_reference(field.name)
        rule = self._rules.get(entity.name)
        if rule is not None:
            rule(row, before)
        if entity.name in _MODIFIED:
            row[_MODIFIED[entity.name]] = moment_text(self._tenant.clock.now())

    def _create_line(self, entity: Entity, values: dict[str, Any]) -> int:
        for name in ("contractID", "serviceID"):
            if values[name] is None:
                raise RuleError(f"Missing Required Field: {name}")
        contract = self._tenant.contracts.get(values["contractID"])
        service = self._tenant.services.get(values["serviceID"])
        if contract is None or service is None:
            raise no_such_reference("serviceID" if contract else "contractID")
        if contract["contractType"] != RECURRING_SERVICE:
            raise RuleError(NOT_RECURRING)
        lines = self._tenant.lines.with_value("contractID", contract["id"])
        if any(line["serviceID"] == service["id"] for line in lines):
            raise RuleError("The Service referenced by serviceID is already associated with this Contract.")
        price, cost = service["unitPrice"], service["unitCost"] or 0.0
        if self._tenant.switches["linePrice"] == "honoured":
            price = price if values["unitPrice"] is None else values["unitPrice"]
            cost = cost if values["unitCost"] is None else values["unitCost"]
        texts = {name: values[name] for name in ("invoiceDescription", "internalDescription")}
        line_id = self._tables[entity.name].next_id()
        self._tenant.add_line(line_row(line_id, contract["id"], service["id"], price, cost, **texts))
        return line_id

    def _contract_rule(self, row: Row, before: Row | None) -> None:
        tenant = self._tenant
        recurring = row["contractType"] == RECURRING_SERVICE
        if recurring and row["contractPeriodType"] is None and tenant.switches["periodTypeRequired"] == "on":
            raise RuleError("Missing Required Field: contractPeriodType")
        start, end = tenant.window(row)
        if end < start:
            raise RuleError("Contract endDate must not be before startDate.")
        if before is None or not recurring:
            return
        old_start, old_end = tenant.window(before)
        if start == old_start and end >= old_end:
            return
        lines = tenant.lines.with_value("contractID", row["id"])
        for line in lines:
            posted = tenant.posted.get(line["id"], {})
            touched = [one for one in tenant.segments(line) if one.start in posted]
            if touched and (start != old_start or any(one.end > end for one in touched)):
                raise RuleError(POSTED)
        for line in lines:
            tenant.remove_adjustments_after(line["id"], end)

    def _service_rule(self, row: Row, _: Row | None) -> None:
        same = self._tenant.services.with_value("name", row["name"])
        if any(one["id"] != row["id"] for one in same):
            raise RuleError(
                "Violation of UNIQUE KEY constraint 'IX_service'. Cannot insert duplicate key in object 'dbo.Service'. "
                f"The duplicate key value is ({row['name']}). Error updating database for new entity records."
            )

    def _ticket_rule(self, row: Row, before: Row | None) -> None:
        if (row["assignedResourceID"] is None) != (row["assignedResourceRoleID"] is None):
            raise RuleError(
                "When assigning a Resource, you must assign both a assignedResourceID and assignedResourceRoleID."
            )
        if row["status"] == 5 and (before is None or before["status"] != 5):
            row["completedDate"] = moment_text(self._tenant.clock.now())


def _stored(entity: Entity, field: Field, value: Any) -> Any:
    """Return a value as rows have it.

    Raises:
        RuleError: wrong type, or not in the picklist.
    """
    if value is None:
        return None
    if isinstance(value, bool) != (field.type == "boolean") or not isinstance(value, _TYPES[field.type]):
        raise RuleError(f"Unexpected character encountered while parsing value: {str(value)[:1]}")
    choices = entity.picklists.get(field.name)
    if choices is not None and value not in choices:
        raise no_such_reference(field.name)
    if field.type != "datetime":
        return value
    try:
        day = day_of(str(value))
    except ValueError as error:
        raise RuleError(f"Could not convert string to DateTime: {value}.") from error
    return day_text(day) if field.name in _DATE_ONLY else value


def _udfs(before: list[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return user-defined fields with those of the body changed; a null value removes one."""
    merged = {udf["name"]: udf["value"] for udf in before}
    for udf in body.get("userDefinedFields") or []:
        if not isinstance(udf, dict) or "name" not in udf:
            raise RuleError("Unexpected character encountered while parsing value: u")
        merged[str(udf["name"])] = udf.get("value")
    return [{"name": name, "value": value} for name, value in merged.items() if value is not None]
