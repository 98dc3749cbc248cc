"""The behaviours of Autotask that no public document settles, or that depend on the tenant, as switches."""

from __future__ import annotations

from local.simulation.switches import Switch, Switches


def autotask_switches() -> Switches:
    """Return the switches of this simulator at their defaults."""
    return Switches(
        [
            Switch(
                "sameDate",
                "reject",
                ("reject", "accept"),
                "A second adjustment of a line with the same effective date is refused as a duplicate period.",
            ),
            Switch(
                "sameDateSources",
                "api",
                ("api", "all"),
                "Which earlier adjustments occupy a date: those made through the API, or hand edits and the seed too.",
            ),
            Switch(
                "posted",
                "prorate",
                ("prorate", "reject"),
                "A date inside a posted period: a prorated extra row, or refused. A change of a posted row is refused.",
            ),
            Switch(
                "negativeUnits",
                "reject",
                ("reject", "accept"),
                "An adjustment that leaves fewer than 0 units on its date or any later one is refused.",
            ),
            Switch(
                "omittedPrice",
                "keep",
                ("keep", "list"),
                "An adjustment without a price or cost keeps the current one, or returns to the line's list value.",
            ),
            Switch(
                "priceReach",
                "next",
                ("next", "onwards"),
                "A price or cost that an adjustment sets holds until the next date with another, or on all later days.",
            ),
            Switch(
                "proration",
                "days",
                ("days", "thirtieths"),
                "A part of a period is extended by its days over the period's, or by thirtieths.",
            ),
            Switch(
                "costs", "shown", ("shown", "hidden"), "Reads show costs, or null as for a user who may not see them."
            ),
            Switch(
                "noChange",
                "accept",
                ("accept", "reject"),
                "An adjustment with unitChange 0 (or none) and neither price nor cost is accepted or refused.",
            ),
            Switch(
                "zeroRows", "omit", ("omit", "emit"), "Spans with 0 units have no row in ContractServiceUnits, or one."
            ),
            Switch(
                "lagSeconds",
                0,
                None,
                "For so long after a write, reads do not show an adjustment or a line that it created.",
            ),
            Switch("adjustmentItemId", "null", ("null", "id"), "The itemId that answers a successful adjustment."),
            Switch(
                "adjustmentNotes", "on", ("on", "off"), "An API adjustment adds a contract note (a hand edit always)."
            ),
            Switch(
                "linePrice",
                "honoured",
                ("honoured", "catalog"),
                "POST Contracts/{id}/Services takes unitPrice and unitCost from the body, or always from the service.",
            ),
            Switch(
                "internalDescription",
                "patchable",
                ("patchable", "readOnly"),
                "PATCH of a line changes internalDescription, or ignores it.",
            ),
            Switch(
                "periodTypeRequired",
                "on",
                ("on", "off"),
                "A recurring contract cannot be made without contractPeriodType.",
            ),
            Switch(
                "missingItem", "null", ("null", "404"), "GET of an id that does not exist: 200 with item null, or 404."
            ),
            Switch("threadLimit", "on", ("on", "off"), "More than three requests at once on one entity get 429."),
            Switch(
                "hourlyRequests", 10_000, None, "Requests allowed in any 60 minutes of simulated time; further get 429."
            ),
            Switch("throttleRetryAfterSeconds", 0, None, "The Retry-After of a 429 for either limit; 0 sends none."),
            Switch("latencySeconds", 0, None, "How long each request takes and occupies its place, in real seconds."),
        ]
    )
