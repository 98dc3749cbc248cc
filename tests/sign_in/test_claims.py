"""What a token says about itself, read and judged without a directory."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.domain.errors import Misconfigured
from shared.partner_center.claims import Expected, audience_of, claims_of, second_factor

TENANT = "6f0c2c5e-1a3b-4d52-9a44-2d8a7f1b9c01"
API = "https://api.partnercenter.microsoft.com"
USER = Expected(TENANT, API, user=True)
APPLICATION = Expected(TENANT, API, user=False)
GOOD: dict[str, Any] = {"aud": API, "tid": TENANT, "amr": ["pwd", "mfa"]}


def token(**claims: Any) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"head.{middle}.signature"


@pytest.mark.parametrize(
    "claims",
    [
        GOOD,
        GOOD | {"aud": f"{API}/"},
        GOOD | {"aud": "FA3D9A0C-3fb0-42cc-9193-47c7ecd2edbd"},
        GOOD | {"tid": TENANT.upper()},
        {},
        {"aud": API},
        GOOD | {"amr": "mfa"},
    ],
)
def test_a_token_that_fits_or_does_not_tell_is_used(claims: dict[str, Any]) -> None:
    USER.check(token(**claims))


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"aud": "https://graph.windows.net"}, "aud"),
        ({"aud": None}, "aud"),
        ({"tid": "99999999-0000-4000-8000-000000000009"}, "tid"),
        ({"amr": ["pwd"]}, "amr"),
        ({"amr": []}, "amr"),
    ],
)
def test_a_claim_that_is_wrong_is_named_without_its_value(claims: dict[str, Any], told: str) -> None:
    with pytest.raises(Misconfigured, match=rf"\({told}\)") as caught:
        USER.check(token(**GOOD | claims))
    assert "99999999" not in str(caught.value)


def test_an_application_needs_no_second_factor() -> None:
    APPLICATION.check(token(**GOOD | {"amr": ["pwd"]}))


def test_a_tenant_by_its_domain_name_cannot_be_compared() -> None:
    Expected("partnersim.example", API, user=True).check(token(**GOOD))


@pytest.mark.parametrize("opaque", ["", "opaque", "a.b.c", "a.b", f"a.{base64.b64encode(b'[]').decode()}.c", "a.ä.c"])
def test_what_cannot_be_read_claims_nothing(opaque: str) -> None:
    assert claims_of(opaque) == {}
    USER.check(opaque)


def test_a_second_factor_is_given_or_not_or_unknown() -> None:
    assert [second_factor(claims) for claims in ({"amr": ["mfa"]}, {"amr": ["pwd"]}, {})] == [True, False, None]


def test_the_audience_is_the_api_of_the_scope() -> None:
    assert audience_of(f"{API}/.default") == API
