"""A person's sign-in at the Entra simulator, through the unmodified MSAL, and what the directory refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jwt
import msal  # type: ignore[import-untyped]  # msal ships no types
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.local_world.vendor_processes import CLIENT_ID, CLIENT_SECRET, SCOPE, TENANT, Entra, running_entra

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIRECT = "http://localhost:8400"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    with running_entra(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_at_start(entra: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    # requests lets these two win over the verify= that MSAL was given
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    entra.http.post("/_control/switches", json={"signIn": "second_factor"}).raise_for_status()


def application(entra: Entra, credential: Any = CLIENT_SECRET) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=credential,
        authority=f"{entra.url}/{TENANT}",
        instance_discovery=False,
        verify=str(entra.ca_file),
    )


def begun(client: msal.ConfidentialClientApplication) -> dict[str, Any]:
    with pytest.warns(UserWarning, match="form_post"):  # MSAL's advice; a test reads the query
        flow: dict[str, Any] = client.initiate_auth_code_flow([SCOPE], redirect_uri=REDIRECT, response_mode="query")
    return flow


def visited(entra: Entra, flow: dict[str, Any], **other: str) -> dict[str, str]:
    """What the browser brings back from the sign-in page."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(flow["auth_uri"]).query).items()} | other
    answer = entra.http.get(f"/{TENANT}/oauth2/v2.0/authorize", params=query)
    assert answer.status_code == 302, answer.text
    location = urlsplit(answer.headers["location"])
    assert location.netloc == "localhost:8400"
    return {name: values[0] for name, values in parse_qs(location.query).items()}


@pytest.mark.parametrize(("switch", "amr"), [("second_factor", ["pwd", "mfa"]), ("password_only", ["pwd"])])
def test_msal_signs_a_person_in_with_or_without_a_second_factor(entra: Entra, switch: str, amr: list[str]) -> None:
    entra.http.post("/_control/switches", json={"signIn": switch}).raise_for_status()
    client = application(entra)
    flow = begun(client)
    answer = client.acquire_token_by_auth_code_flow(flow, visited(entra, flow))
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["amr"], claims["scp"]) == (amr, "user_impersonation")
    assert answer["id_token_claims"]["aud"] == CLIENT_ID
    again = entra.access_token(grant_type="refresh_token", refresh_token=answer["refresh_token"])
    assert jwt.decode(again, options={"verify_signature": False})["amr"] == amr


def test_a_person_who_declines_brings_the_refusal_back(entra: Entra) -> None:
    entra.http.post("/_control/switches", json={"signIn": "declined"}).raise_for_status()
    client = application(entra)
    flow = begun(client)
    answer = client.acquire_token_by_auth_code_flow(flow, visited(entra, flow))
    assert answer["error"] == "access_denied"
    assert answer["error_description"].startswith("AADSTS65004")


def exchange(entra: Entra, flow: dict[str, Any], **fields: str) -> dict[str, Any]:
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": flow["code_verifier"]}
    body: dict[str, Any] = entra.token(**form | fields).json()
    return body


@pytest.mark.parametrize(
    ("other", "number"),
    [
        ({"code_verifier": "x" * 43}, 501481),
        ({"code_verifier": ""}, 501481),
        ({"redirect_uri": "http://localhost:8401"}, 50148),
        ({"code": "invented"}, 70000),
    ],
)
def test_a_code_is_exchanged_only_by_whom_it_was_made_for(entra: Entra, other: dict[str, str], number: int) -> None:
    flow = begun(application(entra))
    refused = exchange(entra, flow, **{"code": visited(entra, flow)["code"]} | other)
    assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [number])


def test_a_code_is_good_once(entra: Entra) -> None:
    flow = begun(application(entra))
    code = visited(entra, flow)["code"]
    assert "access_token" in exchange(entra, flow, code=code)
    assert exchange(entra, flow, code=code)["error_codes"] == [54005]


def test_a_code_expires_after_ten_minutes(entra: Entra) -> None:
    flow = begun(application(entra))
    code = visited(entra, flow)["code"]
    entra.http.post("/_control/clock", json={"advanceSeconds": 601}).raise_for_status()
    refused = exchange(entra, flow, code=code)
    entra.http.post("/_control/clock", json={"advanceSeconds": -601}).raise_for_status()
    assert refused["error_codes"] == [70008]


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_wrong_request_for_a_sign_in_comes_back_as_an_error(entra: Entra, other: dict[str, str], error: str) -> None:
    flow = begun(application(entra))
    answer = visited(entra, flow, **other)
    assert (answer["error"], answer["state"]) == (error, flow["state"])
    assert "code" not in answer


@pytest.mark.parametrize(
    ("other", "number"),
    [
        ({"redirect_uri": "https://evil.example/"}, 50011),
        ({"redirect_uri": "http://localhost.evil.example/"}, 50011),
        ({"client_id": "nobody"}, 700016),
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(entra: Entra, other: dict[str, str], number: int) -> None:
    query = {"client_id": CLIENT_ID, "redirect_uri": REDIRECT, "response_type": "code", **other}
    answer = entra.http.get(f"/{TENANT}/oauth2/v2.0/authorize", params=query)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [number])


def test_a_form_brings_the_answer_without_showing_it_in_an_address(entra: Entra) -> None:
    flow = begun(application(entra))
    query = {name: values[0] for name, values in parse_qs(urlsplit(flow["auth_uri"]).query).items()}
    query |= {"response_mode": "form_post", "state": '"><script>'}
    page = entra.http.get(f"/{TENANT}/oauth2/v2.0/authorize", params=query).raise_for_status().text
    assert f'<form method="post" action="{REDIRECT}">' in page
    assert 'name="code"' in page
    assert "<script>" not in page


def test_msal_proves_the_application_with_its_certificate(entra: Entra) -> None:
    pem = (entra.ca_file.parent / "client.pem").read_text()
    client = application(entra, {"private_key": pem, "public_certificate": pem[pem.index("-----BEGIN CERT") :]})
    assert "access_token" in client.acquire_token_for_client([SCOPE])


def test_an_assertion_counts_once_and_only_from_the_registered_key(entra: Entra) -> None:
    pem = (entra.ca_file.parent / "client.pem").read_bytes()
    thumbprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    header = {"x5t#S256": jwt.utils.base64url_encode(thumbprint).decode()}
    endpoint = f"{entra.url}/{TENANT}/oauth2/v2.0/token"
    claims = {"aud": endpoint, "iss": CLIENT_ID, "sub": CLIENT_ID, "exp": 9_999_999_999}

    def asked(key: object, **other: object) -> tuple[int, list[int] | None]:
        signed = jwt.encode(claims | other, key, algorithm="PS256", headers=header)  # type: ignore[arg-type]  # an RSA key
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": signed}
        answer = entra.token(**form)
        return answer.status_code, answer.json().get("error_codes")

    registered = serialization.load_pem_private_key(pem, None)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert asked(registered, jti="1") == (200, None)
    assert asked(registered, jti="1") == (401, [700027])
    assert asked(stranger, jti="2") == (401, [700027])
    assert asked(registered, jti="3", aud="https://elsewhere.example") == (401, [700027])
    assert asked(registered, jti="4", exp=1) == (401, [700024])
