"""What helps against the refusals of Autotask whose texts are known; pure.

The texts are those that integrations have met; Autotask documents none of them. An unknown one gets a general remedy.
"""

from __future__ import annotations

import re

_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), remedy)
    for pattern, remedy in (
        (
            r"effectiveDate must be between the start date and end date",
            "Extend the contract's end date in Autotask, or map the subscription to a contract that covers the date, "
            "then re-submit.",
        ),
        (
            r"duplicate data into contract_service_period",
            "Another adjustment of this line lies on that date; look at the contract's units, then re-submit, or "
            "correct the bill by hand and dismiss.",
        ),
        (
            r"approved and posted contract period",
            "Un-post the period in Autotask (Contracts, Approve & Post) and re-submit, or correct the bill by hand "
            "and dismiss.",
        ),
        (
            r"negative|less than (zero|0)|below (zero|0)",
            "A later adjustment takes more units than would be left; look at the line's future units in Autotask, "
            "then re-submit with a drift policy or dismiss.",
        ),
        (
            r"does not reference an existing entity|no such (contract|service)",
            "The contract or the service was removed in Autotask, or the API user cannot see it; bring it back or map "
            "the subscription to another line, then re-submit.",
        ),
        (
            r"recurring service",
            "The contract is no recurring service contract; map the subscription to one that is, then re-submit.",
        ),
        (
            r"inactive|is not active",
            "Activate the contract or the service in Autotask, or map the subscription to another line, then "
            "re-submit.",
        ),
        (
            r"BillingCode does not exist or is invalid",
            "Give the service a billing code for recurring services in Autotask, then re-submit.",
        ),
        (
            r"permission|not authori[sz]ed|access denied|security level",
            "Let the API user's security level change contracts in Autotask, then re-submit.",
        ),
        (
            r"locked|being (edited|used) by|in use by",
            "Somebody works on the contract in Autotask; wait until it is free, then re-submit.",
        ),
    )
)


def remedy_of(vendor_text: str) -> str | None:
    """What helps against a refusal, None where its text is not known."""
    return next((remedy for pattern, remedy in _KNOWN if pattern.search(vendor_text)), None)
