"""The Entra simulator as its clients see it: the unmodified MSAL over https, and a verifier of portal tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import msal  # type: ignore[import-untyped]  # msal ships no types
import pytest

from tests.local_world.vendor_processes import CLIENT_ID, CLIENT_SECRET, SCOPE, TENANT, Entra, running_entra

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_MFA = "0.local-refresh-token-with-mfa"
WITHOUT_MFA = "0.local-refresh-token-without-mfa"
EXPIRED = "0.local-refresh-token-expired"


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_foreign_ca(monkeypatch: pytest.MonkeyPatch) -> None:
    # requests lets these two win over the verify= that MSAL was given
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


def application(entra: Entra, secret: str = CLIENT_SECRET) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=secret,
        authority=f"{entra.url}/{TENANT}",
        instance_discovery=False,
        verify=str(entra.ca_file),
    )


def claims_of(entra: Entra, token: str, audience: str = "https://api.partnercenter.microsoft.com") -> dict[str, Any]:
    """Verify as a client would: with the key that the metadata leads to."""
    metadata = entra.http.get(f"/{TENANT}/v2.0/.well-known/openid-configuration").json()
    keys = jwt.PyJWKSet.from_dict(entra.http.get(metadata["jwks_uri"]).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=audience)
    return claims


def switch(entra: Entra, **values: object) -> None:
    entra.http.post("/_control/switches", json=values).raise_for_status()


def test_msal_gets_an_app_token_and_caches_it(entra: Entra) -> None:
    client = application(entra)
    first = client.acquire_token_for_client([SCOPE])
    second = client.acquire_token_for_client([SCOPE])
    claims = claims_of(entra, first["access_token"])
    assert (claims["tid"], claims["appid"], claims["idtyp"]) == (TENANT, CLIENT_ID, "app")
    assert "scp" not in claims
    assert claims["exp"] - claims["iat"] == 3600
    assert second["token_source"] == "cache"


def test_msal_is_told_about_a_wrong_secret(entra: Entra) -> None:
    answer = application(entra, "wrong").acquire_token_for_client([SCOPE])
    assert answer["error"] == "invalid_client"
    assert answer["error_codes"] == [7000215]
    assert answer["error_description"].startswith("AADSTS7000215: ")


def test_msal_exchanges_a_refresh_token_for_a_rotated_one(entra: Entra) -> None:
    answer = application(entra).acquire_token_by_refresh_token(WITH_MFA, [SCOPE])
    claims = claims_of(entra, answer["access_token"])
    assert (claims["scp"], claims["amr"]) == ("user_impersonation", ["pwd", "mfa"])
    assert answer["refresh_token"] != WITH_MFA
    again = application(entra).acquire_token_by_refresh_token(answer["refresh_token"], [SCOPE])
    assert claims_of(entra, again["access_token"])["amr"] == ["pwd", "mfa"]


def test_an_exchanged_refresh_token_stays_valid_unless_the_switch_lets_it_die(entra: Entra) -> None:
    rotated = entra.token(grant_type="refresh_token", refresh_token=WITH_MFA).json()["refresh_token"]
    for _ in range(2):
        assert entra.token(grant_type="refresh_token", refresh_token=rotated).status_code == 200
    switch(entra, oldRefreshToken="dies")
    assert entra.token(grant_type="refresh_token", refresh_token=rotated).status_code == 200
    refused = entra.token(grant_type="refresh_token", refresh_token=rotated)
    switch(entra, oldRefreshToken="stays_valid")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert refused.json()["error_codes"] == [700082]


def test_an_expired_refresh_token_is_an_invalid_grant(entra: Entra) -> None:
    answer = application(entra).acquire_token_by_refresh_token(EXPIRED, [SCOPE])
    assert (answer["error"], answer["error_codes"]) == ("invalid_grant", [700082])


def test_a_refresh_token_without_second_factor_gives_a_token_without_mfa_or_is_refused(entra: Entra) -> None:
    token = entra.access_token(grant_type="refresh_token", refresh_token=WITHOUT_MFA)
    switch(entra, refreshWithoutMfa="refused")
    refused = entra.token(grant_type="refresh_token", refresh_token=WITHOUT_MFA).json()
    switch(entra, refreshWithoutMfa="token_without_mfa")
    assert claims_of(entra, token)["amr"] == ["pwd"]
    assert (refused["error"], refused["error_codes"], refused["suberror"]) == ("invalid_grant", [50076], "basic_action")


def test_the_version_1_endpoint_takes_a_resource_and_answers_numbers_as_strings(entra: Entra) -> None:
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    form["resource"] = "https://api.partnercenter.microsoft.com"
    answer = entra.http.post(f"/{TENANT}/oauth2/token", data=form).json()
    assert answer["expires_in"] == "3600"
    assert claims_of(entra, answer["access_token"])["ver"] == "1.0"
    metadata = entra.http.get(f"/{TENANT}/.well-known/openid-configuration").json()
    assert metadata["issuer"] == f"{entra.url}/{TENANT}/"


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": "client_credentials", "client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "client_credentials", "scope": "nothing"}, 400, "invalid_scope", 70011),
        ({"grant_type": "client_credentials", "scope": "https://a.example/x"}, 400, "invalid_scope", 1002012),
    ],
)
def test_wrong_token_requests_get_their_aadsts_number(
    entra: Entra, form: dict[str, str], status: int, error: str, number: int
) -> None:
    answer = entra.token(**form)
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert {"error_description", "timestamp", "trace_id", "correlation_id"} <= set(body)


def test_a_portal_token_carries_its_roles_as_entra_version_2_claims(entra: Entra) -> None:
    token = entra.portal_token(name="Olga Operator", oid="0a-1", roles=["Subscriptions.Operate"])
    claims = claims_of(entra, token, "api://csp-functions")
    assert claims["iss"] == f"{entra.url}/{TENANT}/v2.0"
    assert claims["iss"] == entra.http.get(f"/{TENANT}/v2.0/.well-known/openid-configuration").json()["issuer"]
    assert (claims["tid"], claims["oid"], claims["sub"], claims["ver"]) == (TENANT, "0a-1", "0a-1", "2.0")
    assert (claims["name"], claims["roles"]) == ("Olga Operator", ["Subscriptions.Operate"])
    assert claims["exp"] - claims["iat"] == 28_800


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"expiresInSeconds": -5}, jwt.ExpiredSignatureError),
        ({"signedBy": "stranger"}, jwt.InvalidSignatureError),
        ({"audience": "api://other"}, jwt.InvalidAudienceError),
    ],
)
def test_a_spoilt_portal_token_does_not_verify(entra: Entra, wanted: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        claims_of(entra, entra.portal_token(**wanted), "api://csp-functions")


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_forged_algorithm_is_in_the_header_of_the_token(entra: Entra, algorithm: str) -> None:
    token = entra.portal_token(algorithm=algorithm)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert token.count(".") == 2


def test_a_wrong_portal_token_request_is_told_what_is_wrong(entra: Entra) -> None:
    answer = entra.http.post("/_control/tokens", json={"algorithm": "ES256"})
    assert (answer.status_code, answer.json()["error"]) == (400, "algorithm must be one of RS256, none, HS256")


def test_faults_and_requests_work_as_in_the_other_simulators(entra: Entra) -> None:
    entra.http.delete("/_control/requests")
    fault = {"path": "/token$", "fault": "503", "retryAfterSeconds": 1}
    assert entra.http.post("/_control/faults", json=fault).status_code == 201
    assert entra.token(grant_type="client_credentials").status_code == 503
    assert entra.token(grant_type="client_credentials").status_code == 200
    assert entra.http.get("/_control/requests?path=/token$").json()["count"] == 2
    assert entra.http.get("/_control/health").json() == {"status": "ok"}


def test_metadata_of_something_that_is_no_tenant_is_refused(entra: Entra) -> None:
    answer = entra.http.get("/nonsense/v2.0/.well-known/openid-configuration")
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])
