"""The refusals of Autotask whose texts are known have a remedy of their own."""

from __future__ import annotations

import pytest

from shared.domain.autotask_texts import remedy_of


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (
            "ContractServiceAdjustment effectiveDate must be between the start date and end date of the Contract "
            "referenced by contractID.",
            "end date",
        ),
        ("Attempt to insert duplicate data into contract_service_period", "date"),
        (
            "Unable to make changes as it would result in the deletion/modification of an already approved and posted "
            "contract period",
            "Un-post",
        ),
        ("The adjustment would result in less than 0 units.", "later adjustment"),
        ("Value does not reference an existing entity for contractServiceID . ", "removed"),
        ("BillingCode does not exist or is invalid", "billing code"),
        ("The logged in Resource does not have the adequate permissions", "security level"),
        ("The contract is locked by somebody's month-end.", "wait"),
        ("The Service is not active.", "Activate"),
    ],
)
def test_a_known_text_has_its_own_remedy(text: str, word: str) -> None:
    remedy = remedy_of(text)
    assert remedy is not None
    assert word in remedy


def test_an_unknown_text_has_none() -> None:
    assert remedy_of("Something went wrong") is None
