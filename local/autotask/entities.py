"""The entities of the API: their fields, what may be done with them, and how children hang on parents.

`filters` and `query` use the field types, `writes` the flags, `metadata` shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its type; required on create; settable on create; changeable later; usable in a filter."""

    name: str
    type: str
    required: bool = False
    creatable: bool = False
    updatable: bool = False
    queryable: bool = True


@dataclass(frozen=True)
class Entity:
    """An entity with its fields by lower-case name; `root_writes` and `child_writes` name the verbs of each path."""

    name: str
    singular: str
    fields: dict[str, Field]
    queryable: bool = True
    root_writes: frozenset[str] = frozenset()
    child_writes: frozenset[str] = frozenset()
    has_udfs: bool = False
    parent_field: str | None = None
    picklists: dict[str, dict[int, str]] = field(default_factory=dict)


def _fields(text: str) -> dict[str, Field]:
    """Parse `name:type[:flags]`; flags: r required, c create only, u create and update, x not in filters."""
    parsed = {}
    for item in text.split():
        name, kind, flags = (*item.split(":"), "")[:3]
        parsed[name.lower()] = Field(
            name, kind, "r" in flags, "c" in flags or "u" in flags, "u" in flags, "x" not in flags
        )
    return parsed


PERIOD_TYPES = {2: "Monthly", 3: "Quarterly", 4: "Semi-Annual", 5: "Yearly"}
_ALL = frozenset({"POST", "PATCH", "PUT"})

_ENTITIES = [
    Entity(
        "Companies",
        "Company",
        _fields(
            "id:long companyName:string:ur companyType:integer:ur companyNumber:string:u phone:string:ur "
            "ownerResourceID:integer:ur isActive:boolean:u parentCompanyID:integer:u currencyID:integer:u "
            "taxID:string:u webAddress:string:u createDate:datetime lastActivityDate:datetime "
            "lastTrackedModifiedDateTime:datetime"
        ),
        root_writes=_ALL,
        has_udfs=True,
        picklists={"companyType": {1: "Customer", 2: "Lead", 3: "Prospect", 7: "Vendor"}},
    ),
    Entity(
        "Contracts",
        "Contract",
        _fields(
            "id:long companyID:integer:cr contractName:string:ur contractNumber:string:u contractType:integer:cr "
            "contractPeriodType:integer:c contractCategory:integer:u status:integer:ur startDate:datetime:ur "
            "endDate:datetime:ur timeReportingRequiresStartAndStopTimes:integer:ur isDefaultContract:boolean:u "
            "billToCompanyID:integer:u billingPreference:integer:u contactID:integer:u description:string:u "
            "organizationalLevelAssociationID:integer:u purchaseOrderNumber:string:u setupFee:double:u "
            "lastModifiedDateTime:datetime"
        ),
        root_writes=_ALL,
        has_udfs=True,
        picklists={
            "contractType": {1: "Time & Materials", 3: "Fixed Price", 4: "Block Hours", 7: "Recurring Service"},
            "contractPeriodType": PERIOD_TYPES,
            "status": {0: "Inactive", 1: "Active"},
        },
    ),
    Entity(
        "Services",
        "Service",
        _fields(
            "id:long name:string:ur description:string:u sku:string:u unitPrice:double:ur unitCost:double:u "
            "periodType:integer:ur billingCodeID:integer:ur isActive:boolean:u invoiceDescription:string:u "
            "serviceLevelAgreementID:integer:u vendorCompanyID:integer:u markupRate:double createDate:datetime "
            "lastModifiedDate:datetime"
        ),
        root_writes=_ALL,
        picklists={"periodType": PERIOD_TYPES},
    ),
    Entity(
        "ContractServices",
        "ContractService",
        _fields(
            "id:long contractID:integer:cr serviceID:integer:cr unitPrice:double:c unitCost:double:c "
            "internalCurrencyUnitPrice:double internalCurrencyAdjustedPrice:double invoiceDescription:string:u "
            "internalDescription:string:u quoteItemID:long"
        ),
        child_writes=_ALL,
        parent_field="contractID",
    ),
    Entity(
        "ContractServiceUnits",
        "ContractServiceUnit",
        _fields(
            "id:long contractID:integer contractServiceID:integer serviceID:integer startDate:datetime "
            "endDate:datetime units:integer price:double cost:double internalCurrencyPrice:double "
            "approveAndPostDate:datetime organizationalLevelAssociationID:integer vendorCompanyID:integer"
        ),
        parent_field="contractID",
    ),
    Entity(
        "ContractServiceAdjustments",
        "ContractServiceAdjustment",
        _fields(
            "id:long contractID:integer:c contractServiceID:integer:c serviceID:integer:c effectiveDate:datetime:cr "
            "unitChange:integer:c adjustedUnitPrice:double:c adjustedUnitCost:double:c allowRepeatService:boolean:c "
            "quoteItemID:long:c"
        ),
        queryable=False,
        root_writes=frozenset({"POST"}),
        child_writes=frozenset({"POST"}),
        parent_field="contractID",
    ),
    Entity(
        "ContractNotes",
        "ContractNote",
        _fields(
            "id:long contractID:integer:cr title:string:ur description:string:ur creatorResourceID:integer "
            "lastActivityDate:datetime"
        ),
        child_writes=_ALL,
        parent_field="contractID",
    ),
    Entity(
        "Tickets",
        "Ticket",
        _fields(
            "id:long ticketNumber:string companyID:integer:ur title:string:ur description:string:u status:integer:ur "
            "priority:integer:ur queueID:integer:u dueDateTime:datetime:ur externalID:string:u contractID:integer:u "
            "contractServiceID:integer:u ticketType:integer:u issueType:integer:u subIssueType:integer:u "
            "source:integer:u ticketCategory:integer:u billingCodeID:integer:u assignedResourceID:integer:u "
            "assignedResourceRoleID:integer:u createDate:datetime completedDate:datetime lastActivityDate:datetime"
        ),
        root_writes=_ALL,
        picklists={
            "status": {1: "New", 5: "Complete", 8: "In Progress"},
            "priority": {1: "High", 2: "Medium", 3: "Low"},
        },
    ),
    Entity(
        "TicketNotes",
        "TicketNote",
        _fields(
            "id:long ticketID:integer:cr title:string:ur description:string:ur noteType:integer:u publish:integer:u "
            "createDateTime:datetime"
        ),
        child_writes=_ALL,
        parent_field="ticketID",
    ),
    Entity(
        "BillingItems",
        "BillingItem",
        _fields(
            "id:long billingItemType:integer subType:integer companyID:integer contractID:integer "
            "contractServiceID:integer contractServicePeriodID:long contractServiceAdjustmentID:long serviceID:integer "
            "itemDate:datetime postedDate:datetime postedOnTime:datetime invoiceID:integer quantity:double rate:double "
            "extendedPrice:double totalAmount:double ourCost:double nonBillable:integer description:string "
            "lineItemFullDescription:string:x lineItemGroupDescription:string:x"
        ),
    ),
    Entity(
        "BillingCodes",
        "BillingCode",
        _fields(
            "id:long name:string description:string useType:integer isActive:boolean unitPrice:double unitCost:double"
        ),
    ),
]

ENTITIES = {entity.name.lower(): entity for entity in _ENTITIES}
CHILDREN = {
    ("Contracts", "services"): ENTITIES["contractservices"],
    ("Contracts", "serviceunits"): ENTITIES["contractserviceunits"],
    ("Contracts", "serviceadjustments"): ENTITIES["contractserviceadjustments"],
    ("Contracts", "notes"): ENTITIES["contractnotes"],
    ("Tickets", "notes"): ENTITIES["ticketnotes"],
}
