"""Whether a webhook is Partner Center's: every part of the proof, each missing or wrong once."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from local.partner_center.webhook_certificates import Authority, CertificateServer, Identity
from shared.domain.errors import Misconfigured, NotSigned, RetryLater
from shared.partner_center.webhook import Trust, WebhookSignatures
from shared.transport import Transport

pytestmark = pytest.mark.anyio
BODY = b'{"EventName": "subscription-updated"}'
CERTIFICATE, ISSUER = "/cert/signing.cer", "/cert/issuer.cer"


def now() -> datetime:
    return datetime.now(UTC)


class Microsoft:
    """An authority, the server with its certificates, and an identity that signs."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority()
        self.server = CertificateServer(self.authority.server())
        self.signer = self.authority.signer(issuer_url=self.url(ISSUER))
        self.server.contents |= {CERTIFICATE: self.signer.der, ISSUER: self.authority.issuer.der}
        self.roots = directory / "roots.pem"
        self.roots.write_bytes(self.authority.root.pem)
        self.trust = Trust(
            (self.server.host,), (self.server.host,), "pcnotifications-dispatch.microsoft.com", str(self.roots)
        )

    def url(self, path: str) -> str:
        return f"https://{self.server.host}{path}"

    def serve(self, signer: Identity, path: str = "/cert/other.cer") -> str:
        """Serve another certificate; its address."""
        self.server.contents[path] = signer.der
        return self.url(path)

    def headers(self, signer: Identity | None = None, body: bytes = BODY, **more: str) -> dict[str, str]:
        signature = base64.b64encode((signer or self.signer).sign(body)).decode()
        return {
            "Authorization": f"Signature {signature}",
            "X-MS-Certificate-Url": self.url(CERTIFICATE),
            "X-MS-Signature-Algorithm": "rsa-sha256",
        } | more


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsoft]:
    microsoft = Microsoft(tmp_path_factory.mktemp("webhooks"))
    yield microsoft
    microsoft.server.close()


@pytest.fixture
def microsoft(made: Microsoft) -> Microsoft:
    made.server.asked.clear()
    return made


def signatures(microsoft: Microsoft, clock: Any = now, **trust: Any) -> WebhookSignatures:
    chosen = replace(microsoft.trust, **trust)
    ca_file = chosen.roots if chosen.roots and Path(chosen.roots).exists() else str(microsoft.roots)
    return WebhookSignatures(Transport("", now=now, ca_file=ca_file), chosen, now=clock)


async def refused(microsoft: Microsoft, headers: dict[str, str], body: bytes = BODY, **trust: Any) -> str:
    with pytest.raises(NotSigned) as error:
        await signatures(microsoft, **trust).verify(headers, body)
    return str(error.value)


async def test_a_signed_body_is_taken(microsoft: Microsoft) -> None:
    await signatures(microsoft).verify(microsoft.headers(), BODY)


async def test_the_signature_may_stand_in_a_header_of_its_own(microsoft: Microsoft) -> None:
    headers = microsoft.headers()
    headers["x-ms-signature"] = headers.pop("Authorization")
    await signatures(microsoft).verify(headers, BODY)


async def test_stronger_digests_are_taken(microsoft: Microsoft) -> None:
    signature = base64.b64encode(microsoft.signer.sign(BODY, hashes.SHA512())).decode()
    headers = microsoft.headers(Authorization=f"Signature {signature}") | {"X-MS-Signature-Algorithm": "rsa-sha512"}
    await signatures(microsoft).verify(headers, BODY)


async def test_certificates_are_fetched_once(microsoft: Microsoft) -> None:
    verifier = signatures(microsoft)
    for _ in range(3):
        await verifier.verify(microsoft.headers(), BODY)
    assert microsoft.server.asked == [CERTIFICATE, ISSUER]


async def test_an_issuer_in_the_file_of_roots_is_not_fetched(microsoft: Microsoft, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(microsoft.authority.root.pem + microsoft.authority.issuer.pem)
    await signatures(microsoft, roots=str(both)).verify(microsoft.headers(), BODY)
    assert microsoft.server.asked == [CERTIFICATE]


async def test_a_pem_bundle_brings_its_issuer_along(microsoft: Microsoft) -> None:
    microsoft.server.contents["/bundle.pem"] = microsoft.signer.pem + microsoft.authority.issuer.pem
    headers = microsoft.headers() | {"X-MS-Certificate-Url": microsoft.url("/bundle.pem")}
    await signatures(microsoft, issuer_hosts=()).verify(headers, BODY)


@pytest.mark.parametrize("body", [BODY + b" ", b"", BODY.replace(b"updated", b"deleted")])
async def test_another_body_is_refused(microsoft: Microsoft, body: bytes) -> None:
    assert await refused(microsoft, microsoft.headers(), body) == "the signature does not fit the body"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer eyJ0eXAi"},
        {"Authorization": "Signature"},
        {"Authorization": "Signature not base64!"},
        {"X-MS-Signature-Algorithm": "rsa-sha1"},
        {"X-MS-Signature-Algorithm": "rsa-md5"},
        {"X-MS-Signature-Algorithm": "none"},
        {"X-MS-Signature-Algorithm": ""},
        {"X-MS-Certificate-Url": ""},
    ],
)
async def test_a_header_that_is_missing_or_weak_is_refused_before_anything_is_fetched(
    microsoft: Microsoft, headers: dict[str, str]
) -> None:
    await refused(microsoft, microsoft.headers() | headers)
    assert microsoft.server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}/cert/signing.cer",
        "https://evil.example/cert/signing.cer",
        "https://{host}@evil.example/cert/signing.cer",
        "https://{host}.evil.example/cert/signing.cer",
        "https://localhost/cert/signing.cer",
        "https://127.0.0.1:1/cert/signing.cer",
        "file:///etc/passwd",
        "https://{host}/" + "x" * 3000,
        "//{host}/cert/signing.cer",
        "https://[",
        "https://{host}/cert/\r\nX: y",
        "https://{host}/cert/\u00e9",
    ],
)
async def test_an_address_elsewhere_is_not_asked(microsoft: Microsoft, url: str) -> None:
    headers = microsoft.headers() | {"X-MS-Certificate-Url": url.format(host=microsoft.server.host)}
    assert "address" in await refused(microsoft, headers)
    assert microsoft.server.asked == []


async def test_a_certificate_of_another_issuer_is_refused(microsoft: Microsoft) -> None:
    stranger = Authority("Somebody Else").signer()
    headers = microsoft.headers(stranger) | {"X-MS-Certificate-Url": microsoft.serve(stranger)}
    assert await refused(microsoft, headers) == "the certificate's issuer is not Microsoft"


async def test_an_issuer_that_only_calls_itself_microsoft_is_refused(microsoft: Microsoft) -> None:
    pretender = Authority()
    signer = pretender.signer(issuer_url=microsoft.url("/cert/pretender.cer"))
    microsoft.server.contents["/cert/pretender.cer"] = pretender.issuer.der
    headers = microsoft.headers(signer) | {"X-MS-Certificate-Url": microsoft.serve(signer)}
    assert "no chain to a trusted root" in await refused(microsoft, headers)


async def test_a_certificate_for_another_name_is_refused(microsoft: Microsoft) -> None:
    other = microsoft.authority.signer(subject="www.microsoft.com", issuer_url=microsoft.url(ISSUER))
    headers = microsoft.headers(other) | {"X-MS-Certificate-Url": microsoft.serve(other)}
    assert "no chain to a trusted root" in await refused(microsoft, headers)


async def test_an_expired_certificate_is_refused(microsoft: Microsoft) -> None:
    old = microsoft.authority.signer(expired=True, issuer_url=microsoft.url(ISSUER))
    headers = microsoft.headers(old) | {"X-MS-Certificate-Url": microsoft.serve(old)}
    assert "no chain to a trusted root" in await refused(microsoft, headers)


async def test_a_certificate_that_expires_while_it_is_kept_is_refused(microsoft: Microsoft) -> None:
    moment = [now()]
    verifier = signatures(microsoft, clock=lambda: moment[0])
    await verifier.verify(microsoft.headers(), BODY)
    moment[0] = microsoft.signer.certificate.not_valid_after_utc.replace(year=2999)
    with pytest.raises(NotSigned, match="not valid today"):
        await verifier.verify(microsoft.headers(), BODY)


async def test_a_chain_whose_issuer_lies_on_a_host_that_is_not_allowed_is_refused(microsoft: Microsoft) -> None:
    assert "no chain" in await refused(microsoft, microsoft.headers(), issuer_hosts=("www.microsoft.com",))
    assert microsoft.server.asked == [CERTIFICATE]


@pytest.mark.parametrize("content", [b"", b"<html>", b"x" * 70_000, b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_what_is_no_certificate_or_too_long_is_refused(microsoft: Microsoft, content: bytes) -> None:
    microsoft.server.contents["/cert/odd.cer"] = content
    headers = microsoft.headers() | {"X-MS-Certificate-Url": microsoft.url("/cert/odd.cer")}
    assert "no certificate" in await refused(microsoft, headers)


async def test_a_refused_certificate_is_not_fetched_for_each_request(microsoft: Microsoft) -> None:
    verifier = signatures(microsoft)
    headers = microsoft.headers() | {"X-MS-Certificate-Url": microsoft.url("/cert/nowhere.cer")}
    for _ in range(5):
        with pytest.raises(NotSigned):
            await verifier.verify(headers, BODY)
    assert microsoft.server.asked == ["/cert/nowhere.cer"]


async def test_where_the_certificate_cannot_be_fetched_microsoft_delivers_again(microsoft: Microsoft) -> None:
    headers = microsoft.headers() | {"X-MS-Certificate-Url": "https://localhost:1/cert/signing.cer"}
    with pytest.raises(RetryLater):
        await signatures(microsoft, hosts=("localhost:1",)).verify(headers, BODY)


async def test_a_file_of_roots_that_is_not_there_is_a_matter_for_a_person(microsoft: Microsoft) -> None:
    with pytest.raises(Misconfigured):
        await signatures(microsoft, roots="/nowhere/roots.pem").verify(microsoft.headers(), BODY)


async def test_by_default_the_roots_that_https_trusts_are_trusted(microsoft: Microsoft) -> None:
    assert "no chain to a trusted root" in await refused(microsoft, microsoft.headers(), roots=None)
