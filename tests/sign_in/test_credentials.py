"""The application's credential: which settings give which, and what is wrong with a certificate that is none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from local.entra.certificates import write_client_certificate
from shared.domain.errors import Misconfigured
from shared.partner_center import credential
from shared.partner_center.sign_in import authority, refresh_tokens
from shared.partner_center.token import AppSignIn
from shared.settings import Cloud, SignInSettings
from tests.local_world.vendor_processes import Entra
from tests.local_world.vendor_processes import KeyVault as RunningVault
from tests.sign_in.conftest import Clock, Directory, client_file
from tests.sign_in.stores import opened

pytestmark = pytest.mark.anyio
GIVEN = {"partner_center_tenant": "tenant", "partner_center_client_id": "client"}


@pytest.fixture
def pem(tmp_path: Path) -> str:
    write_client_certificate(tmp_path / "client.pem")
    return (tmp_path / "client.pem").read_text()


def archive(pem: str, password: bytes = b"") -> str:
    """The same as PKCS #12 in base64, as Key Vault hands it out."""
    key = load_pem_private_key(pem.encode(), None)
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    certificate = load_pem_x509_certificate(pem.encode())
    packed = pkcs12.serialize_key_and_certificates(b"client", key, certificate, None, protection)  # type: ignore[arg-type]  # an RSA key
    return base64.b64encode(packed).decode()


def test_pem_and_pkcs12_give_the_same_certificate(pem: str) -> None:
    first, second = credential.parse(pem), credential.parse(archive(pem))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["public_certificate"].split() == second["public_certificate"].split()
    assert first["private_key"].split() == second["private_key"].split()


def test_the_certificate_of_the_key_is_found_in_a_chain(pem: str, tmp_path: Path) -> None:
    write_client_certificate(tmp_path / "issuer.pem")
    issuer = (tmp_path / "issuer.pem").read_text().partition("-----BEGIN CERTIFICATE")[2]
    chain = f"-----BEGIN CERTIFICATE{issuer}{pem}"
    found = credential.parse(chain)
    assert isinstance(found, dict)
    assert found["public_certificate"] in pem


def _without(pem: str, what: str) -> str:
    before, _, rest = pem.partition(f"-----BEGIN {what}-----")
    return before + rest.partition(f"-----END {what}-----")[2]


def test_a_certificate_that_cannot_sign_is_for_a_person(pem: str, tmp_path: Path) -> None:
    write_client_certificate(tmp_path / "other.pem")
    other = _without((tmp_path / "other.pem").read_text(), "CERTIFICATE")
    curve = ec.generate_private_key(ec.SECP256R1())
    elliptic = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    certificate_alone = _without(pem, "PRIVATE KEY")
    wrong = {
        "neither PEM nor PKCS": "nothing of the kind",
        "neither PEM nor PKCS #12 without": archive(pem, b"password"),
        "needs a private key": certificate_alone,
        "and a certificate": _without(pem, "CERTIFICATE"),
        "does not belong": other + certificate_alone,
        "not an RSA key": elliptic + certificate_alone,
        "cannot be read": pem.replace("MII", "!!!"),
    }
    for told, content in wrong.items():
        with pytest.raises(Misconfigured, match=told) as caught:
            credential.parse(content)
        assert "MII" not in str(caught.value)


async def test_a_file_that_is_missing_is_for_a_person(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        await credential.from_file(str(tmp_path / "missing.pem"))()


async def test_a_certificate_in_key_vault_signs_in(vault: RunningVault, entra: Entra, directory: Directory) -> None:
    pem = client_file(entra).read_text()
    async with opened(vault, entra) as client:
        await client.put("client-certificate", archive(pem), expires_on=Clock()())
        source = credential.from_key_vault(client, "client-certificate")
        grant = await AppSignIn(directory.authority(source)).grant()
        assert grant.access_token
        with pytest.raises(Misconfigured, match="no secret with the name"):
            await credential.from_key_vault(client, "another-name")()


async def test_a_certificate_that_is_not_registered_is_told_by_its_number(directory: Directory, pem: str) -> None:
    async def stranger() -> credential.Credential:
        return credential.parse(pem)

    with pytest.raises(Misconfigured, match="AADSTS700027"):
        await AppSignIn(directory.authority(stranger)).grant()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "PARTNER_CENTER_CLIENT_SECRET"),
        ({"partner_center_certificate_secret": "name"}, "KEY_VAULT_URL"),
    ],
)
def test_settings_without_a_credential_name_what_is_missing(more: dict[str, str], told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        authority(SignInSettings.model_validate(GIVEN | more))


def test_a_user_sign_in_without_a_place_for_its_token_names_both() -> None:
    with pytest.raises(Misconfigured, match="KEY_VAULT_URL or PARTNER_CENTER_REFRESH_TOKEN_FILE"):
        refresh_tokens(SignInSettings.model_validate(GIVEN), Clock())


async def test_the_file_is_taken_before_the_vault(tmp_path: Path) -> None:
    both = GIVEN | {"key_vault_url": "https://v.example", "partner_center_refresh_token_file": str(tmp_path / "t")}
    assert str(refresh_tokens(SignInSettings.model_validate(both), Clock())).startswith("the file ")
    vault_alone = GIVEN | {"key_vault_url": "https://v.example"}
    store = refresh_tokens(SignInSettings.model_validate(vault_alone), Clock())
    assert str(store) == "the secret partner-center-refresh-token of https://v.example"


@pytest.mark.parametrize(
    ("cloud", "authority_host", "api"),
    [
        (Cloud.COMMERCIAL, "https://login.microsoftonline.com", "https://api.partnercenter.microsoft.com"),
        (Cloud.US_GOVERNMENT, "https://login.microsoftonline.us", "https://api.partnercenter.microsoft.com"),
        (
            Cloud.CHINA,
            "https://login.partner.microsoftonline.cn",
            "https://partner.partnercenterapi.microsoftonline.cn",
        ),
    ],
)
def test_a_cloud_sets_every_address_that_is_not_named(cloud: Cloud, authority_host: str, api: str) -> None:
    settings = SignInSettings.model_validate(GIVEN | {"partner_center_cloud": cloud})
    assert (settings.authority, settings.partner_center_base, settings.scope) == (
        authority_host,
        api,
        f"{api}/.default",
    )


def test_an_address_that_is_named_wins_over_the_cloud() -> None:
    named = {
        "partner_center_cloud": "china",
        "entra_authority": "https://localhost:1",
        "partner_center_url": "http://127.0.0.1:2",
        "partner_center_scope": "https://api.example/.default",
    }
    settings = SignInSettings.model_validate(GIVEN | named)
    assert (settings.authority, settings.partner_center_base, settings.scope) == (
        "https://localhost:1",
        "http://127.0.0.1:2",
        "https://api.example/.default",
    )
