"""The behaviours of Partner Center that are inferred or vary, each as a switch (listed by `GET /_control/switches`)."""

from __future__ import annotations

from local.simulation.switches import Switch

SWITCHES = (
    Switch("nextLinkPrefix", "", ("", "/v1"), "What `links.next.uri` starts with; both forms have been seen."),
    Switch(
        "pagePastEnd",
        "no_next_link",
        ("no_next_link", "error_2000"),
        "Whether the last page has no next link, or has one that answers 400 with code 2000.",
    ),
    Switch("errorCodeType", "number", ("number", "string"), "How `code` is written in error bodies."),
    Switch(
        "unknownFieldOmitted",
        "removed",
        ("removed", "kept"),
        "What happens to a stored field unknown to the documentation when a PATCH leaves it out.",
    ),
    Switch(
        "msRequestIdReplay",
        "first_answer",
        ("first_answer", "error", "ignored"),
        "A write repeated with the same MS-RequestId: the first answer again, 409/800060, or it acts again.",
    ),
    Switch("requestsPerMinute", 0, None, "Requests of a tenant per minute before 429; 0 is off, Microsoft's is 500."),
    Switch(
        "refundableQuantityInList",
        "absent",
        ("absent", "present"),
        "Whether the list of subscriptions shows `refundableQuantity`.",
    ),
    Switch(
        "refundableQuantityWhenClosed",
        "zero",
        ("zero", "absent"),
        "How `refundableQuantity` looks when every seat's window has closed.",
    ),
    Switch(
        "cancellationDateWhenClosed",
        "past",
        ("past", "absent"),
        "Whether `cancellationAllowedUntilDate` stays, in the past, or goes when the window has closed.",
    ),
    Switch("seatWindowError", 800090, (800090, 900214, 900257), "The code for a seat reduction outside the window."),
    Switch(
        "seatBatchOrder",
        "newest_first",
        ("newest_first", "oldest_first"),
        "Which refundable seats a reduction takes first.",
    ),
    Switch("staleEtag", 400, (400, 412), "The HTTP status of a stale etag (code 2055)."),
    Switch(
        "pendingOperationCode",
        800082,
        (800082, 900278),
        "The 409 code of a write while an asynchronous change is under way.",
    ),
    Switch(
        "autoRenewWithReactivation",
        "accepted",
        ("accepted", "ignored", "refused"),
        "What `autoRenewEnabled: true` does in the PATCH that reactivates.",
    ),
    Switch("unknownCustomer", 20002, (20002, 60003), "The code for a foreign customer: 403/20002 or 404/60003."),
    Switch("renewalSeconds", 3600, None, "How long a renewal takes after the term's end (Microsoft: up to a day)."),
    Switch(
        "endWithoutRenewal",
        "expired",
        ("expired", "extended"),
        "What a licence without auto-renew becomes at the term's end: expired, or a paid Extended Service Term.",
    ),
    Switch(
        "suspensionReasonsWhenDisabled",
        "kept",
        ("kept", "removed"),
        "Whether a suspended subscription that the term's end disabled still shows its `suspensionReasons`.",
    ),
    Switch(
        "renewalBlackoutCode",
        800082,
        (800082, 900278),
        "The 409 code of a change of seats, names or of a cancellation while a renewal is under way.",
    ),
    Switch(
        "transitionVariants",
        "by_term",
        ("by_term", "single"),
        "Whether an upgrade's target SKU is listed once per term, each with its availability, or once.",
    ),
    Switch(
        "transitionTerms",
        "any",
        ("any", "of_the_item"),
        "Whether `termDuration` may be any term of the target SKU or must be the one of the availability.",
    ),
    Switch(
        "subscriptionEligibilitiesWhenNone",
        "empty",
        ("empty", "absent"),
        "How `subscriptionEligibilities` looks for a trial and for `eligibilityType=scheduled`.",
    ),
    Switch(
        "transitionOperationId",
        "present",
        ("present", "absent_in_post", "absent"),
        "Where a transition shows its `operationId`.",
    ),
    Switch(
        "transitionsRoot",
        "items",
        ("items", "transition", "transitions", "array"),
        "The root of the list of transitions: a property name, or a bare array.",
    ),
    Switch("transitionEventsKey", "events", ("events", "Events"), "How a transition writes the name of its events."),
    Switch(
        "transitionEventStatus",
        "plain",
        ("plain", "trailing_blank"),
        "Whether the status of an event has a trailing blank.",
    ),
    Switch(
        "transitionToSubscriptionId",
        "when_joined",
        ("when_joined", "when_changed"),
        "Whether a transition names the subscription only when it joined an existing one, or also a new child.",
    ),
    Switch(
        "emptiedSourceStatus",
        "deleted",
        ("deleted", "suspended"),
        "The status of a source whose seats have all gone to another subscription.",
    ),
    Switch("upgradeErrorCodes", "number", ("number", "name"), "How a legacy upgrade writes the codes of its errors."),
    Switch(
        "migrationCreateStatus", 200, (200, 201), "The status of the answer that creates a migration or a schedule."
    ),
    Switch(
        "migrationScheduleDone",
        "Completed",
        ("Completed", "Executed"),
        "The status of a migration schedule that was carried out.",
    ),
    Switch(
        "scheduleAddOnsKey",
        "addOnMigrationSchedules",
        ("addOnMigrationSchedules", "addOnMigrations"),
        "The name under which a migration schedule shows its add-ons.",
    ),
    Switch(
        "validationsPerFiveMinutes",
        0,
        None,
        "Validations of migrations per customer in five minutes before 429; 0 is off, Microsoft's is 450.",
    ),
    Switch(
        "migrationsPerFiveMinutes",
        0,
        None,
        "New migrations of the partner in five minutes before 429; 0 is off, Microsoft's is 100.",
    ),
    Switch(
        "provisioningStatus",
        "derived",
        ("derived", "success", "pending", "failed"),
        "The provisioning status of a subscription; `derived` is pending while something is under way.",
    ),
    Switch("auditLagSeconds", 0, None, "How long after a change its audit record appears."),
)
