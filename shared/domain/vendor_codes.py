"""What Partner Center's error codes mean for an operation, as a category and a sentence of our own; pure.

One row per code of the Partner Center reference, section 14. The adapter decides from the status what happened; this
table says to people why, and what kind of reaction helps. A code that is not in it is passed on word for word, with
the category of its HTTP status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """The reaction that helps."""

    REFUSE = "refuse"  # not as asked: the request, the product or a deadline rules it out
    CONFLICT = "conflict"  # not in the state that the subscription is in now: read again and decide anew
    RETRY = "retry"  # the same request may succeed later
    NEEDS_PERSON = "needs_person"  # somebody has to settle it with Microsoft or the customer
    MISCONFIGURED = "misconfigured"  # our registration, permissions or credentials


@dataclass(frozen=True, slots=True)
class Explanation:
    """`sentence` is ours for a known code, Microsoft's text for any other; `text` is Microsoft's, word for word."""

    code: str
    category: Category
    sentence: str
    text: str
    known: bool


def explain(status: int, code: str, text: str) -> Explanation:
    """Explain a refusal by its HTTP status, code and text; never fails."""
    row = _ROWS.get(code.strip())
    if row is not None:
        return Explanation(code, row[0], row[1], text, known=True)
    words = text or f"Partner Center answered with status {status}" + (f", code {code}." if code else ".")
    return Explanation(code, _by_status(status, code), words, text, known=False)


def _by_status(status: int, code: str) -> Category:
    if status == 401 or (status == 403 and not code):
        return Category.MISCONFIGURED
    if status in (408, 429) or status >= 500:
        return Category.RETRY
    return Category.CONFLICT if status in (409, 412, 417) else Category.REFUSE


_PARTNER_NOT_ELIGIBLE = "Microsoft does not let this partner sell or change this offer."
_CREDIT = "Microsoft holds the account back for credit, risk or account review; a person has to settle it with them."
_MAXIMUM = "That is more subscriptions or seats than Microsoft allows for this product."
_CUSTOM_END = "The custom end date is not one that Microsoft allows for this subscription."
_CYCLE_FIXED = "The billing cycle of this subscription cannot be changed."
_NOT_FOUND = "Microsoft does not know it, or does not show it to this partner."
_NO_PRIVILEGES = "The application's roles at Microsoft do not suffice for this; see the set-up of roles and GDAP."
_NOT_ACTIVE = "The subscription is not active."
_REGISTRATION = "Microsoft does not accept the customer's registration data."
_SEATS_CLOSED = "Microsoft's window for giving seats back has passed."
_CANCEL_CLOSED = "Microsoft's window for cancelling has passed."
_INPUT = "Microsoft does not accept the values of the request."

_REFUSE: dict[str, str] = {
    "2000": "There are no further pages.",
    "2002": "The number of seats is outside what the offer allows.",
    "2006": "Microsoft does not allow changes to this offer.",
    "2054": "The billing cycle cannot be changed on the subscription.",
    "3000": _INPUT,
    "6000": _CYCLE_FIXED,
    "6001": _CYCLE_FIXED,
    **dict.fromkeys(("2030", "2032", "2085", "2091"), _PARTNER_NOT_ELIGIBLE),
    "20002": "There is no reseller relationship with this customer.",
    **dict.fromkeys(("1000", "20000", "20003", "60003"), _NOT_FOUND),
    "800002": _INPUT,
    "800019": "Only software orders can be cancelled this way.",
    "800027": "Seats of this item can be neither added nor removed.",
    "800028": "The term it was bought with is no longer sold.",
    "800061": "The order cannot be cancelled; the subscription can be suspended instead.",
    "800063": "The order cannot be cancelled; the subscription can be suspended instead.",
    **dict.fromkeys(("800066", "800067", "800088", "800089"), _MAXIMUM),
    "800077": "Seats of this product are cancelled through the subscription, not through the order.",
    "800090": "The number of seats can no longer be reduced; Microsoft's window has passed.",
    "800093": "This subscription cannot be renewed automatically.",
    "800095": "The number of seats of this subscription cannot be changed.",
    "800096": "The status of this subscription cannot be changed.",
    "800097": _CYCLE_FIXED,
    "800098": "The partner of record cannot be changed.",
    "800107": "The term of a trial cannot be changed.",
    "800121": "The term is not one that this product is sold with.",
    "800122": "The term is shorter than the present one.",
    "900115": "The Azure plan still has active Azure subscriptions.",
    "900117": _CANCEL_CLOSED,
    "900118": "The id of the customer is not valid.",
    "900126": _INPUT,
    "900127": "Microsoft does not support this operation here.",
    "900141": "Microsoft does not support this operation here.",
    "900213": _CANCEL_CLOSED,
    "900214": _SEATS_CLOSED,
    "900217": "Less than 24 hours are left of the term; it can only be migrated with a new full term.",
    "900218": "A subscription with a promotion cannot be migrated.",
    "900219": "Its add-ons stand in the way of a migration.",
    "900220": "There is no path to new commerce for this offer.",
    "900221": "The subscription cannot be migrated, for one or more reasons.",
    "900222": "The new product is not sold with this term and billing cycle.",
    "900223": "Microsoft does not let this partner migrate yet.",
    "900224": "Microsoft does not know this migration.",
    "900226": "The subscription, or an add-on, has been active for one month or less.",
    "900236": "The subscription to move the seats into must end later than the source.",
    "900242": _CUSTOM_END,
    **dict.fromkeys(("900244", "900245", "900246", "900291", "900292"), _CUSTOM_END),
    "900247": "The partner id on record is not valid.",
    "900248": "An add-on is named twice.",
    "900257": _SEATS_CLOSED,
    "900258": "The subscription to move the seats into is not active.",
    "900259": "Source and target are the same subscription.",
    "900260": "The subscription to move the seats into is of another product than the target.",
    "900262": "An add-on is not one of this subscription.",
    "900263": "Microsoft does not support this for a legacy subscription.",
    "900267": "The term is shorter than the source's.",
    "900268": "The term is not one that the target is sold with.",
    "900269": "The billing cycle is not one that the target is sold with.",
    "900270": "The billing cycle is longer than the term.",
    "900275": "The number of seats is outside what the offer allows.",
    "900321": "A savings plan is managed in the Azure portal.",
    **dict.fromkeys(("600002", "600049", "600050", "600051"), _REGISTRATION),
}
_CONFLICT: dict[str, str] = {
    "2001": "The number of seats cannot change while the subscription is being suspended.",
    "2011": "The subscription is deleted.",
    "2055": "The subscription was changed by somebody else meanwhile.",
    "27009": "The subscription that this add-on belongs to has to be active first.",
    "800012": _NOT_ACTIVE,
    "800021": _NOT_ACTIVE,
    "800036": "The subscription was changed by somebody else meanwhile.",
    "800040": "The subscription cannot go from its present status to the wanted one.",
    "800081": "The subscription has to be activated first.",
    "800091": "A suspended subscription cannot be changed.",
    "900215": "Only an active subscription can be migrated.",
    "900277": "The subscription is about to expire.",
    "900279": "The subscription can no longer be changed.",
    "900280": "The subscription cannot be changed at present; Microsoft is renewing it.",
}
_RETRY: dict[str, str] = {
    "800003": "Microsoft had an unexpected error.",
    "800014": "Microsoft is still working on an adjustment of this order.",
    "800060": "Microsoft is still working on this order.",
    "800064": "Microsoft is working on another change of this order.",
    "800082": "The subscription is not ready to be changed yet.",
    "800094": "Microsoft could not carry the change out.",
    "900192": "Microsoft had an unexpected error.",
    "900216": "Microsoft is already migrating this subscription.",
    "900225": "Microsoft had an unexpected error with the migration.",
    "900261": "The subscription to move the seats into is not ready yet.",
    "900278": "An earlier operation is pending; Microsoft asks to wait for 24 hours.",
}
_NEEDS_PERSON: dict[str, str] = {
    "13605": "The customer has not accepted the Microsoft Customer Agreement.",
    "800018": "The sandbox's limit of purchases is reached.",
    **{str(code): _CREDIT for code in (*range(800022, 800027), 800069, *range(800073, 800076), 900121)},
    "900311": "The subscription was changed too many times; Microsoft takes no further change.",
    "900416": "Microsoft has locked the customer's account.",
    "900419": "The customer has reached Microsoft's limit of subscriptions.",
}
_MISCONFIGURED: dict[str, str] = {
    "400": "Microsoft refuses access.",
    "800001": "The token says nothing of a partner.",
    "800039": "The partner's reseller or programme status is not active.",
    "90000": "Entra issued no token for this.",
    "900149": "The partner's reseller or programme status is not active.",
    "900150": _NO_PRIVILEGES,
    "900308": _NO_PRIVILEGES,
    "900309": "Conditional Access blocks the application.",
    "900316": "This call needs a signed-in user's token.",
    "900329": "This call needs a signed-in user's token.",
    "900420": "The token was issued for an audience that Microsoft no longer accepts.",
    "900421": "The user signed in without multi-factor authentication; consent has to be given anew.",
}
_ROWS: dict[str, tuple[Category, str]] = {
    code: (category, sentence)
    for category, sentences in (
        (Category.REFUSE, _REFUSE),
        (Category.CONFLICT, _CONFLICT),
        (Category.RETRY, _RETRY),
        (Category.NEEDS_PERSON, _NEEDS_PERSON),
        (Category.MISCONFIGURED, _MISCONFIGURED),
    )
    for code, sentence in sentences.items()
}
