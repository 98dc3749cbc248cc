"""The rows of the entities as the API shows them, with every field that this simulator knows.

Dates are text as Autotask writes them, so that a row can be answered without conversion.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.autotask.tables import Row

RECURRING_SERVICE = 7
TIME_AND_MATERIALS = 1


@lru_cache(maxsize=65_536)
def day_text(day: date) -> str:
    """Return a date field's text."""
    return f"{day.isoformat()}T00:00:00Z"


@lru_cache(maxsize=65_536)
def day_of(text: str) -> date:
    """Return the date of a date field: its first ten characters, whatever time follows.

    Raises:
        ValueError: they are no date.
    """
    return date.fromisoformat(text[:10])


def moment_text(moment: datetime) -> str:
    """Return a moment as Autotask writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def company_row(company_id: int, name: str, udfs: dict[str, str] | None = None, web: str | None = None) -> Row:
    """Return a company."""
    return {
        "id": company_id,
        "companyName": name,
        "companyType": 1,
        "companyNumber": None,
        "phone": "000-000-0000",
        "ownerResourceID": 29682885,
        "isActive": True,
        "parentCompanyID": None,
        "currencyID": 1,
        "taxID": None,
        "webAddress": web,
        "createDate": "2020-01-01T00:00:00.000Z",
        "lastActivityDate": None,
        "lastTrackedModifiedDateTime": None,
        "userDefinedFields": [{"name": key, "value": value} for key, value in (udfs or {}).items()],
    }


def contract_row(
    contract_id: int,
    company_id: int,
    name: str,
    start: date,
    end: date,
    contract_type: int = RECURRING_SERVICE,
    number: str | None = None,
) -> Row:
    """Return an active contract; a recurring one bills monthly."""
    return {
        "id": contract_id,
        "companyID": company_id,
        "contractName": name,
        "contractNumber": number,
        "contractType": contract_type,
        "contractPeriodType": 2 if contract_type == RECURRING_SERVICE else None,
        "contractCategory": None,
        "status": 1,
        "startDate": day_text(start),
        "endDate": day_text(end),
        "timeReportingRequiresStartAndStopTimes": 0,
        "isDefaultContract": False,
        "billToCompanyID": None,
        "billingPreference": None,
        "contactID": None,
        "description": None,
        "organizationalLevelAssociationID": None,
        "purchaseOrderNumber": None,
        "setupFee": 0.0,
        "lastModifiedDateTime": None,
        "userDefinedFields": [],
    }


def service_row(service_id: int, name: str, price: float, cost: float, sku: str | None = None) -> Row:
    """Return a monthly service of the catalog."""
    return {
        "id": service_id,
        "name": name,
        "description": None,
        "sku": sku,
        "unitPrice": price,
        "unitCost": cost,
        "periodType": 2,
        "billingCodeID": 29683278,
        "isActive": True,
        "invoiceDescription": None,
        "serviceLevelAgreementID": None,
        "vendorCompanyID": None,
        "markupRate": None,
        "createDate": "2020-01-01T00:00:00.000Z",
        "lastModifiedDate": None,
    }


def line_row(
    line_id: int, contract_id: int, service_id: int, price: float, cost: float, **texts: str | None
) -> dict[str, Any]:
    """Return a contract service; the adjusted price is filled in when it is read."""
    return {
        "id": line_id,
        "contractID": contract_id,
        "serviceID": service_id,
        "unitPrice": price,
        "unitCost": cost,
        "internalCurrencyUnitPrice": price,
        "internalCurrencyAdjustedPrice": price,
        "invoiceDescription": texts.get("invoiceDescription"),
        "internalDescription": texts.get("internalDescription"),
        "quoteItemID": None,
    }
