"""The query filter: parsed once into a predicate over rows and a selection that indexes can use.

Faithful in its traps: an unknown operator is dropped silently, an unknown field is a loud 500.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.autotask.errors import RuleError
from local.autotask.tables import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.autotask.entities import Entity, Field
    from local.autotask.tables import Row

    Predicate = Callable[[Row], bool]

MAX_OR_CONDITIONS = 500

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda have, want: bool(have == want),
    "noteq": lambda have, want: bool(have != want),
    "gt": lambda have, want: bool(have > want),
    "gte": lambda have, want: bool(have >= want),
    "lt": lambda have, want: bool(have < want),
    "lte": lambda have, want: bool(have <= want),
    "beginswith": lambda have, want: str(have).startswith(str(want)),
    "endswith": lambda have, want: str(have).endswith(str(want)),
    "contains": lambda have, want: str(want) in str(have),
    "in": lambda have, want: have in want,
    "notin": lambda have, want: have not in want,
}
_TEXT_OPERATORS = frozenset({"beginswith", "endswith", "contains"})


class Filter:
    """A parsed filter of one entity."""

    def __init__(self, entity: Entity, conditions: Any) -> None:
        """Parse the `filter` property of a query.

        Raises:
            RuleError: no filter, an unknown field, a value of a wrong type, more than 500 OR conditions or two UDFs.
        """
        if not isinstance(conditions, list) or not conditions:
            raise RuleError("Invalid query syntax. A filter is required.")
        self._entity = entity
        self._or_conditions = 0
        self._udfs: set[str] = set()
        self.selection = Selection()
        parsed = [self._parse(condition, top=True) for condition in conditions]
        self._predicates = [predicate for predicate in parsed if predicate is not None]
        if self._or_conditions > MAX_OR_CONDITIONS:
            raise RuleError("Invalid query syntax. Queries are limited to 500 or fewer 'OR' conditions.")
        if len(self._udfs) > 1:
            raise RuleError("Invalid query syntax. Only one user-defined field can be queried at a time.")

    def matches(self, row: Row) -> bool:
        """Tell whether a row passes."""
        return all(predicate(row) for predicate in self._predicates)

    def _parse(self, condition: Any, *, top: bool = False) -> Predicate | None:
        if not isinstance(condition, dict):
            raise RuleError("Invalid query syntax.")
        named = {str(key).lower(): value for key, value in condition.items()}
        operator = str(named.get("op", "")).lower()
        if operator in ("and", "or"):
            return self._group(operator, named.get("items"), top=top)
        if operator not in _COMPARISONS and operator not in ("exist", "notexist"):
            return None
        if operator == "in" and isinstance(named.get("value"), list):
            self._or_conditions += len(named["value"])
        if named.get("udf"):
            return self._udf(str(named.get("field", "")), operator, named.get("value"))
        name = str(named.get("field", ""))
        field = self._entity.fields.get(name.lower())
        if field is None or not field.queryable:
            raise RuleError(f"Unable to find {name} in the {self._entity.singular} Entity")
        return self._leaf(field, operator, named.get("value"), top=top)

    def _group(self, operator: str, items: Any, *, top: bool) -> Predicate | None:
        if not isinstance(items, list):
            raise RuleError("Invalid query syntax.")
        narrows = top and operator == "and"
        parsed = [self._parse(item, top=narrows) for item in items]
        predicates = [predicate for predicate in parsed if predicate is not None]
        if operator == "or":
            self._or_conditions += len(items)
            if top and len(predicates) == len(items):
                self._narrow_by_alternatives(items)
            return (lambda row: any(predicate(row) for predicate in predicates)) if predicates else None
        return (lambda row: all(predicate(row) for predicate in predicates)) if predicates else None

    def _leaf(self, field: Field, operator: str, value: Any, *, top: bool) -> Predicate:
        name = field.name
        if operator == "exist":
            return lambda row: row.get(name) is not None
        if operator == "notexist":
            return lambda row: row.get(name) is None
        wanted = _wanted(field, operator, value)
        if top:
            self._narrow(field, operator, wanted)
        compare = _COMPARISONS[operator]
        if field.type in ("string", "datetime") or operator in _TEXT_OPERATORS:
            normal = _moment_text if field.type == "datetime" else _lower
            return lambda row: (have := row.get(name)) is not None and compare(normal(have), wanted)
        return lambda row: (have := row.get(name)) is not None and compare(have, wanted)

    def _udf(self, name: str, operator: str, value: Any) -> Predicate:
        if not self._entity.has_udfs:
            raise RuleError(f"Unable to find {name} in the {self._entity.singular} Entity")
        self._udfs.add(name.lower())
        wanted: Any = [_lower(one) for one in value] if isinstance(value, list) else _lower(value)

        def predicate(row: Row) -> bool:
            have = next((udf["value"] for udf in row["userDefinedFields"] if udf["name"].lower() == name.lower()), None)
            if operator in ("exist", "notexist"):
                return (have is not None) == (operator == "exist")
            return have is not None and _COMPARISONS[operator](_lower(have), wanted)

        return predicate

    def _narrow(self, field: Field, operator: str, wanted: Any) -> None:
        selection = self.selection
        if operator in ("eq", "in"):
            values = set(wanted) if operator == "in" else {wanted}
            known = selection.keys.get(field.name)
            selection.keys[field.name] = values if known is None else known & values
        elif field.name == "id" and operator in ("gt", "gte"):
            selection.after = max(selection.after, int(wanted) - (operator == "gte"))
        elif field.name == "startDate" and operator in ("lt", "lte"):
            selection.starts_until = min(selection.starts_until or wanted, wanted)
        elif field.name == "endDate" and operator in ("gt", "gte"):
            selection.ends_from = max(selection.ends_from or wanted, wanted)

    def _narrow_by_alternatives(self, items: Sequence[dict[str, Any]]) -> None:
        """Use an OR group of equalities on one field like an `in`."""
        named = [{str(key).lower(): value for key, value in item.items()} for item in items]
        names = {str(item.get("field", "")).lower() for item in named}
        if len(names) != 1 or any(item.get("udf") or str(item.get("op")).lower() != "eq" for item in named):
            return
        field = self._entity.fields[names.pop()]
        self._narrow(field, "in", [_value(field, item.get("value")) for item in named])


def _wanted(field: Field, operator: str, value: Any) -> Any:
    if operator in ("in", "notin"):
        if not isinstance(value, list):
            raise RuleError("Invalid query syntax. A list of values is required.")
        return [_value(field, one) for one in value]
    if operator in _TEXT_OPERATORS:
        return _lower(value)
    return _value(field, value)


def _value(field: Field, value: Any) -> Any:
    """Return a filter's value as the field's rows have it."""
    if field.type == "string":
        return _lower(value)
    if field.type == "boolean":
        if not isinstance(value, bool):
            raise RuleError(f"Unexpected character encountered while parsing value: {str(value)[:1]}")
        return value
    try:
        if field.type == "datetime":
            return _moment_text(str(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return float(value) if field.type == "double" else int(str(value))
    except (TypeError, ValueError) as error:
        raise RuleError(f"Unexpected character encountered while parsing value: {str(value)[:1]}") from error


def _moment_text(text: str) -> str:
    """Return a moment in UTC as text of one length, so that text compares like time."""
    if len(text) == 20 and text[19] == "Z":
        return text[:19]
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _lower(value: Any) -> str:
    return str(value).lower()
