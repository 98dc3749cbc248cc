"""What a mapping may name: searches in Autotask, the preview of a mapping, and proposals."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from functions.http_actions.answers.common import Day, Money
from functions.http_actions.answers.mappings import Pricing, SubscriptionMapping
from shared.domain.qualifying import Obstacle
from shared.domain.segment import Segment

Period = Literal["monthly", "quarterly", "semi_annual", "yearly"]
Units = Literal["adopt", "push"]


class Company(TypedDict):
    """A company, and why a customer cannot be it."""

    id: int
    name: str
    webAddress: str | None
    qualifies: bool
    reasons: list[Obstacle]


class Contract(TypedDict):
    """A contract, and why a subscription cannot be billed on it."""

    id: int
    name: str
    companyId: int
    startDate: Day
    endDate: Day
    periodType: Period | None
    lastUsed: NotRequired[bool]
    qualifies: bool
    reasons: list[Obstacle]


class Service(TypedDict):
    """A service, and why an offer cannot be billed as it."""

    id: int
    name: str
    sku: str | None
    periodType: Period | None
    unitPrice: Money | None
    unitCost: Money | None
    qualifies: bool
    reasons: list[Obstacle]


class OfferedLine(TypedDict):
    """A line of the service on the contract, and who has it."""

    contractServiceId: int
    serviceId: int
    unitPrice: Money | None
    qualifies: bool
    reasons: list[Obstacle]


class PreviewedSubscription(TypedDict):
    """The subscription as Partner Center shows it."""

    id: str
    offerName: str
    segment: Segment
    status: str
    quantity: int
    product: str
    termDuration: str
    billingCycle: str


class MappingProblem(TypedDict):
    """What the mapping would be refused with as it stands."""

    code: str
    detail: str
    errors: NotRequired[list[dict[str, str]]]
    operation: NotRequired[str]
    operations: NotRequired[list[str]]


class ChosenCompany(TypedDict):
    """The company, and whether the customer is mapped to it."""

    id: int
    name: str
    mapped: bool


class ChosenProduct(TypedDict):
    """The service of the offer, and whether the offer is mapped to it."""

    serviceId: int
    serviceName: str
    mapped: bool


ChosenContract = TypedDict(
    "ChosenContract", {"id": int, "from": Literal["request", "mapping", "last_used", "only_one"]}
)
"""The contract, and where it comes from."""

BilledFrom = TypedDict("BilledFrom", {"from": Day, "units": int, "unitPrice": Money | None, "unitCost": Money | None})
"""What a line bills from a day on."""

FirstBill = TypedDict(
    "FirstBill",
    {
        "from": Day,
        "through": Day,
        "units": int,
        "prorated": bool,
        "unitPrice": Money | None,
        "unitCost": Money | None,
        "priceFrom": Literal["pricing", "autotask"],
        "amount": Money | None,
    },
)
"""What the rest of the present billing period costs."""


class MappedBill(TypedDict):
    """The line that is billed on, before and after; without an id it has to be made."""

    contractId: int
    contractServiceId: int | None
    creates: bool
    serviceId: int
    serviceName: str | None
    pricing: Pricing
    before: list[BilledFrom]
    after: list[BilledFrom]


class FilledIn(TypedDict):
    """The members of the mapping as they were filled in."""

    contractId: int
    contractServiceId: NotRequired[int]
    serviceId: NotRequired[int]
    units: NotRequired[Units]


class MappingPreview(TypedDict):
    """What a mapping would do."""

    subscription: PreviewedSubscription
    allowed: bool
    problem: MappingProblem | None
    mapping: SubscriptionMapping | None
    company: ChosenCompany | None
    product: ChosenProduct | None
    contracts: list[Contract]
    disqualified: NotRequired[list[Contract]]
    contract: ChosenContract | None
    lines: list[OfferedLine]
    units: Units | None
    bill: MappedBill | None
    firstBill: FirstBill | None
    request: FilledIn | None


class Candidate(TypedDict):
    """Something in Autotask that fits: what speaks for it, and what keeps it from being taken."""

    id: int
    name: str
    because: list[Obstacle]
    qualifies: bool
    reasons: list[Obstacle]


class Acceptance(TypedDict):
    """The request that accepts a proposal."""

    method: Literal["PUT"]
    path: str
    body: dict[str, Any]


class Proposal(TypedDict):
    """Something that is not mapped, and what fits; the members of a customer, an offer, or a subscription."""

    customerId: NotRequired[str]
    customerName: NotRequired[str]
    domain: NotRequired[str]
    product: NotRequired[str]
    termDuration: NotRequired[str]
    billingCycle: NotRequired[str]
    segment: NotRequired[Segment]
    subscriptionId: NotRequired[str]
    offerName: NotRequired[str]
    quantity: NotRequired[int]
    missing: NotRequired[list[Obstacle]]
    candidates: list[Candidate]
    request: Acceptance | None
