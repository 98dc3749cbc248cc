"""Every code that a problem may have, with its statuses; and which of them belong to every route of a kind.

What a route refuses beyond these stands next to its decorator. Tests compare this list with the errors that the code
raises, and with every problem that any test is answered (ADR 0046).
"""

from __future__ import annotations

from collections.abc import Mapping

ALWAYS = ("internal_error",)
GUARDED = (
    "unauthenticated",
    "forbidden",
    "customer_forbidden",
    "too_many_requests",
    "unavailable",
    "outcome_unknown",
    "misconfigured",
    "vendor_answer_unreadable",
)
WRITING = ("changed_meanwhile",)
WITH_BODY = ("not_json", "not_an_object", "body_too_large", "invalid_body", "too_large")
WITH_TEXT = ("body_too_large", "too_large")
WITH_QUERY = ("invalid_body", "parameter_invalid")
PAGED = ("page_size_invalid", "continuation_invalid")
KEYED = ("idempotency_key_missing", "idempotency_key_invalid", "idempotency_key_reused")
NAMED = {
    "customer": ("customer_not_found",),
    "subscription": ("subscription_not_found",),
    "schedule": ("schedule_not_found",),
    "operation": ("operation_not_found",),
    "caller": ("access_not_found",),
    "bulk": ("bulk_not_found",),
    "job": ("import_not_found",),
    "run": ("sync_run_not_found",),
    "product": ("too_large",),
    "price": ("too_large",),
    "rule": ("too_large",),
    "resubmission": ("resubmission_not_found",),
    "reconciliation": ("reconciliation_not_found",),
    "line": ("not_mapped",),
}
"""What a route with this parameter answers where there is no such thing, or can be none."""

RULES = ("not_for_this_product", "trial", "not_in_this_state", "renewal_in_progress")
"""The rules table's refusals that hold for every action; those of one action are named at its route."""
ACTION = (
    *RULES,
    "operation_in_progress",
    "stale_page",
    "confirmation_required",
    "refused_by_partner_center",
    "partner_center_unavailable",
)
UPGRADING = (
    "same_product",
    "same_subscription",
    "target_not_eligible",
    "transition_type_not_eligible",
    "destination_not_eligible",
    "term_too_short",
    "too_many_seats",
    "all_seats_only",
)
MIGRATING = ("add_on", "not_eligible", "too_many_add_ons", "schedule_not_found", "schedule_not_open")
RENEWING = ("auto_renew_is_off", "target_not_eligible", "custom_end_too_early")
QUALIFYING_COMPANY = ("company_not_found", "company_inactive", "company_not_customer")
QUALIFYING_SERVICE = ("service_not_found", "service_inactive", "service_period_differs")
PLACING = (
    *QUALIFYING_COMPANY,
    *QUALIFYING_SERVICE,
    "contract_starts_later",
    "contract_inactive",
    "contract_period_differs",
    "service_not_of_line",
    "product_mapped_differently",
    "contract_not_found",
    "contract_period_unknown",
    "contract_ended",
    "contract_not_recurring",
    "contract_of_another_company",
    "line_not_on_contract",
    "line_taken",
    "line_busy",
    "product_not_mapped",
    "autotask_refused",
    "operation_in_progress",
)
PRICING = ("not_in_price_list", "no_price_rule", "price_incomplete", "price_needed")

STATUSES: Mapping[str, tuple[int, ...]] = {
    "access_not_found": (404,),
    "action_not_found": (404,),
    "add_on": (409,),
    "adopted_since": (409,),
    "all_seats_only": (409,),
    "auto_renew_is_off": (409,),
    "autotask_refused": (400, 404, 409, 422),
    "body_too_large": (413,),
    "bulk_not_found": (404,),
    "calendar_too_long": (422,),
    "cancel_window_closed": (409,),
    "changed_meanwhile": (409,),
    "company_inactive": (409,),
    "company_not_customer": (409,),
    "company_not_found": (404, 422),
    "confirmation_required": (428,),
    "continuation_invalid": (400,),
    "contract_ended": (409,),
    "contract_inactive": (409,),
    "contract_not_found": (409, 422),
    "contract_not_recurring": (409,),
    "contract_of_another_company": (409,),
    "contract_period_differs": (409,),
    "contract_period_unknown": (409,),
    "contract_starts_later": (409,),
    "custom_end_too_early": (409,),
    "customer_forbidden": (403,),
    "customer_not_found": (404,),
    "days_invalid": (422,),
    "destination_not_eligible": (409,),
    "finding_not_found": (404,),
    "forbidden": (403,),
    "history_incomplete": (409,),
    "idempotency_key_invalid": (400,),
    "idempotency_key_missing": (400,),
    "idempotency_key_reused": (422,),
    "import_not_found": (404,),
    "internal_error": (500,),
    "invalid_body": (422,),
    "invalid_sheet": (422,),
    "line_busy": (409,),
    "line_changed": (409,),
    "line_not_in_ledger": (409,),
    "line_not_on_contract": (422,),
    "line_taken": (409,),
    "mapping_not_found": (404,),
    "misconfigured": (503,),
    "no_company_for_ticket": (409,),
    "no_price_rule": (409,),
    "not_an_event": (400,),
    "not_an_object": (400,),
    "not_dead": (404,),
    "not_eligible": (409,),
    "not_for_this_product": (409,),
    "not_in_price_list": (409,),
    "not_in_this_state": (409,),
    "not_json": (400,),
    "not_mapped": (404, 409),
    "not_pushed": (409,),
    "not_signed": (401,),
    "nothing_to_correct": (409,),
    "nothing_to_undo": (409,),
    "not_utf8": (400,),
    "operation_in_progress": (409,),
    "operation_not_found": (404,),
    "outcome_unknown": (503,),
    "page_size_invalid": (400,),
    "parameter_invalid": (422,),
    "partner_center_unavailable": (503,),
    "price_incomplete": (409,),
    "price_needed": (422,),
    "product_mapped_differently": (409,),
    "product_not_mapped": (409,),
    "quantity_missing": (422,),
    "reconciliation_not_found": (404,),
    "refused_by_partner_center": (409,),
    "renewal_in_progress": (409,),
    "resubmission_not_found": (404,),
    "same_product": (409,),
    "same_subscription": (409,),
    "schedule_not_found": (404,),
    "schedule_not_open": (409,),
    "seat_window_closed": (409,),
    "service_inactive": (409,),
    "service_not_found": (422,),
    "service_not_of_line": (422,),
    "service_period_differs": (409,),
    "settling": (409,),
    "stale_page": (409,),
    "subscription_not_found": (404,),
    "sync_run_not_found": (404,),
    "target_not_eligible": (409,),
    "term_too_short": (409,),
    "too_few_refundable_seats": (409,),
    "too_large": (422,),
    "too_many_add_ons": (409,),
    "too_many_lines": (422,),
    "too_many_requests": (429,),
    "too_many_seats": (409,),
    "transition_type_not_eligible": (409,),
    "trial": (409,),
    "unauthenticated": (401,),
    "unavailable": (503,),
    "unreadable": (409,),
    "vendor_answer_unreadable": (502,),
}
