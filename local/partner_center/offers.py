"""The small catalogue of offers: what can be upgraded to what, in which terms, and what legacy becomes.

A new commerce SKU has one availability per term, so the same target appears several times among the eligible ones.
The ids of products follow Microsoft's form; the availabilities are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.partner_center import catalogue
from local.partner_center.errors import ApiError
from local.partner_center.moments import TERM_MONTHS

if TYPE_CHECKING:
    from local.partner_center.subscription import Subscription

CYCLE_MONTHS = {"monthly": 1, "annual": 12, "triennial": 36}
ENTERPRISE_3 = ("CFQ7TTC0LFLX:0001:CFQ7TTC0SIM5", "Microsoft 365 E3")
ENTERPRISE_5 = ("CFQ7TTC0LFLZ:0002:CFQ7TTC0SIM6", "Microsoft 365 E5")
EXCHANGE_PLAN_2 = ("CFQ7TTC0LH1P:0001:CFQ7TTC0SIM8", "Exchange Online (Plan 2)")
EXCHANGE_ARCHIVING = ("CFQ7TTC0LH0J:0001:CFQ7TTC0SIM9", "Exchange Online Archiving")
LEGACY_ENTERPRISE_3 = ("796B6B5F-613C-4E24-A17C-EBA730D49C02", "Office 365 Enterprise E3")
LEGACY_EXCHANGE_2 = ("2F707C7C-2433-49A5-A437-9CA7CF40D3EB", "Exchange Online (Plan 2)")


@dataclass(frozen=True)
class Variant:
    """One availability of a SKU: a catalog item id and the term it is made for."""

    catalog_item_id: str
    name: str
    term: str


@dataclass(frozen=True)
class Path:
    """An upgrade that exists: its target (`product:sku`), when it can be made, and what forbids a licence transfer."""

    target: str
    immediate: bool = True
    transfer_error: int | None = None


def sku_of(catalog_item_id: str) -> str:
    """Product and SKU of a catalog item, upper case: availabilities change, these stay."""
    return ":".join(catalog_item_id.upper().split(":")[:2])


def _variants(product: catalogue.Product) -> tuple[Variant, ...]:
    item, name = product
    return tuple(Variant(item + mark, name, term) for term, mark in (("P1M", "M"), ("P1Y", ""), ("P3Y", "T")))


SKUS = {
    sku_of(product[0]): _variants(product)
    for product in (
        catalogue.BUSINESS_STANDARD,
        catalogue.BUSINESS_PREMIUM,
        catalogue.EXCHANGE_PLAN_1,
        EXCHANGE_PLAN_2,
        EXCHANGE_ARCHIVING,
        ENTERPRISE_3,
        ENTERPRISE_5,
    )
}
CONFLICTING_SERVICES = 3
PATHS: dict[str, tuple[Path, ...]] = {
    sku_of(catalogue.BUSINESS_STANDARD[0]): (
        Path(sku_of(catalogue.BUSINESS_PREMIUM[0])),
        Path(sku_of(ENTERPRISE_3[0]), transfer_error=CONFLICTING_SERVICES),
    ),
    sku_of(catalogue.BUSINESS_PREMIUM[0]): (
        Path(sku_of(ENTERPRISE_3[0])),
        Path(sku_of(ENTERPRISE_5[0]), immediate=False),
    ),
    sku_of(catalogue.PREMIUM_TRIAL[0]): (Path(sku_of(catalogue.BUSINESS_PREMIUM[0])),),
    sku_of(catalogue.EXCHANGE_PLAN_1[0]): (
        Path(sku_of(EXCHANGE_PLAN_2[0])),
        Path(sku_of(catalogue.BUSINESS_STANDARD[0]), transfer_error=CONFLICTING_SERVICES),
    ),
    sku_of(ENTERPRISE_3[0]): (Path(sku_of(ENTERPRISE_5[0])),),
}
LEGACY_UPGRADES: dict[str, tuple[catalogue.Product, ...]] = {
    catalogue.LEGACY_EXCHANGE[0]: (LEGACY_EXCHANGE_2, LEGACY_ENTERPRISE_3),
    catalogue.LEGACY_STANDARD[0]: (LEGACY_ENTERPRISE_3,),
}
NEW_COMMERCE: dict[str, catalogue.Product] = {
    catalogue.LEGACY_EXCHANGE[0]: catalogue.EXCHANGE_PLAN_1,
    catalogue.LEGACY_ARCHIVING[0]: EXCHANGE_ARCHIVING,
    catalogue.LEGACY_STANDARD[0]: catalogue.BUSINESS_STANDARD,
    LEGACY_EXCHANGE_2[0]: EXCHANGE_PLAN_2,
    LEGACY_ENTERPRISE_3[0]: ENTERPRISE_3,
}


def paths_from(subscription: Subscription, *, scheduled: bool) -> list[Path]:
    """The upgrades of the subscription's SKU, now or at renewal."""
    found = PATHS.get(sku_of(str(subscription.properties["offerId"])), ())
    return [path for path in found if scheduled or path.immediate]


def months(term: object) -> int:
    """The length of a term; 0 for none."""
    return TERM_MONTHS.get(str(term), 0)


def check_term(term: str, cycle: str, *, at_least: int = 0) -> None:
    """Judge a term (`P1Y`) with a billing cycle (lower case); `at_least` is the source's term in months.

    Raises:
        ApiError: 400/900268 no such term, 900267 shorter than the source's, 900269 no such cycle, 900270 longer than
            the term.
    """
    if term not in TERM_MONTHS:
        raise ApiError(400, 900268, "The term duration is invalid.")
    if TERM_MONTHS[term] < at_least:
        raise ApiError(400, 900267, "The term duration cannot be shorter than the source subscription's.")
    if cycle not in CYCLE_MONTHS:
        raise ApiError(400, 900269, "The billing cycle is invalid.")
    if CYCLE_MONTHS[cycle] > TERM_MONTHS[term]:
        raise ApiError(400, 900270, "The billing cycle cannot be longer than the term duration.")


def take_offer(subscription: Subscription, catalog_item_id: str) -> None:
    """Let the subscription be of another offer; a nickname that was only the old offer's name follows."""
    properties = subscription.properties
    variants = SKUS.get(sku_of(catalog_item_id), ())
    name = variants[0].name if variants else str(properties["offerName"])
    if properties["friendlyName"] == properties["offerName"]:
        properties["friendlyName"] = name
    properties |= {
        "offerId": catalog_item_id,
        "offerName": name,
        "isTrial": False,
        "links": catalogue.links(subscription.id, subscription.customer_id, catalog_item_id),
    }
