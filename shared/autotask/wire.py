"""From Autotask's JSON items to the values of `shared.domain`; pure.

Dates are date-only fields: the first ten characters count and no zone is converted (Autotask reference 7).
"""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.errors import Malformed
from shared.domain.reading import UnitsRow

Item = dict[str, Any]


def parse_units(item: Item) -> UnitsRow:
    """A row of ContractServiceUnits; posted once it was approved and posted. Its amounts are extended (reference 8.6).

    Raises:
        Malformed: a date or the units cannot be read, or it ends before it starts.
    """
    start, end = business_date(item, "startDate"), business_date(item, "endDate")
    if end < start:
        raise Malformed(f"Autotask units row {item.get('id')} ends before it starts")
    return UnitsRow(
        start,
        end,
        whole(item, "units"),
        posted=item.get("approveAndPostDate") is not None,
        price=_amount(item, "price"),
        cost=_amount(item, "cost"),
    )


def parse_contract(item: Item) -> Contract:
    """A contract. Raises Malformed without id, company or dates."""
    return Contract(
        id=whole(item, "id"),
        company_id=whole(item, "companyID"),
        name=_text(item, "contractName"),
        type=_optional(item, "contractType"),
        period_type=_optional(item, "contractPeriodType"),
        status=_optional(item, "status"),
        start=business_date(item, "startDate"),
        end=business_date(item, "endDate"),
    )


def parse_line(item: Item) -> ContractLine:
    """A contract service. Raises Malformed without id, contract or service."""
    return ContractLine(
        id=whole(item, "id"),
        contract_id=whole(item, "contractID"),
        service_id=whole(item, "serviceID"),
        invoice_description=_text(item, "invoiceDescription"),
        internal_description=_text(item, "internalDescription"),
        unit_price=_amount(item, "unitPrice"),
    )


def parse_service(item: Item) -> Service:
    """A service of the catalogue. Raises Malformed without an id."""
    return Service(
        id=whole(item, "id"),
        name=_text(item, "name"),
        period_type=_optional(item, "periodType"),
        active=item.get("isActive") is not False,
        unit_price=_amount(item, "unitPrice"),
        unit_cost=_amount(item, "unitCost"),
        sku=_text(item, "sku"),
    )


def parse_company(item: Item) -> Company:
    """A company. Raises Malformed without an id."""
    return Company(
        id=whole(item, "id"),
        name=_text(item, "companyName"),
        active=item.get("isActive") is not False,
        type=_optional(item, "companyType"),
        web=_text(item, "webAddress"),
    )


def business_date(item: Item, field: str) -> date:
    """The date of a date-only field, whatever time and zone follow it. Raises Malformed."""
    value = item.get(field)
    try:
        return date.fromisoformat(value[:10] if isinstance(value, str) else "")
    except ValueError:
        raise _unreadable(item, field) from None


def whole(item: Item, field: str) -> int:
    """The integer of a field that must have one. Raises Malformed."""
    value = _optional(item, field)
    if value is None:
        raise _unreadable(item, field)
    return value


def _unreadable(item: Item, field: str) -> Malformed:
    return Malformed(f"Autotask item {item.get('id')} has no readable {field}")


def _optional(item: Item, field: str) -> int | None:
    value = item.get(field)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _amount(item: Item, field: str) -> Decimal | None:
    """An amount of money as it was written; None where the user may not read it, which is not 0 (reference 2).

    Raises Malformed for what is called a number and is none.
    """
    value = item.get(field)
    if isinstance(value, float) and not math.isfinite(value):
        raise _unreadable(item, field)
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(item: Item, field: str) -> str:
    value = item.get(field)
    return value.strip() if isinstance(value, str) else ""
