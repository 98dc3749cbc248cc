"""Is a webhook really Partner Center's? Its certificate, the chain to a trusted root, and the signature over the bytes.

The certificate's address is in the request and so in anybody's hands: https only, hosts from a setting, no redirects,
a few kilobytes, a few seconds. The host proves nothing, for it serves many (reference 13.2); what counts is the chain,
Microsoft as issuer, and the name that the certificate was made for. Whatever is not clearly right is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.domain.errors import CspError, Malformed, Misconfigured, NotSigned, RetryLater
from shared.transport import Request, Transport

if TYPE_CHECKING:
    from cryptography import x509  # noqa: TC004 - slow to import; at run time only where a certificate is at hand

_ORGANISATION = "Microsoft Corporation"
_ALGORITHMS = ("rsa-sha256", "rsa-sha384", "rsa-sha512")
_MOST_BYTES = 64 * 1024
_SECONDS = 5.0
_KEPT_SECONDS = 3600.0
_REFUSED_SECONDS = 60.0  # a certificate that is no good is not fetched for every request
_MOST_KEPT = 8
_DEEPEST = 3  # issuers between the certificate and its root


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust: hosts of the certificate and of its issuers' certificates, the name it is made for, the roots.

    `roots` is a PEM file of roots, and of issuers that need not be fetched; None takes the roots that HTTPS trusts.
    """

    hosts: tuple[str, ...]
    issuer_hosts: tuple[str, ...]
    subject: str
    roots: str | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    certificate: x509.Certificate | None  # None: it was refused
    why: str = ""


class WebhookSignatures:
    """Verifies webhooks; verified certificates are kept for an hour."""

    def __init__(
        self,
        transport: Transport,
        trust: Trust,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._trust = trust
        self._now = now
        self._monotonic = monotonic
        self._kept: dict[str, _Kept] = {}
        self._fetching = asyncio.Lock()
        self._anchors: tuple[list[x509.Certificate], list[x509.Certificate]] | None = None

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if the body is signed by Partner Center.

        Raises:
            NotSigned: it is not, or cannot be told to be.
            RetryLater: the certificate cannot be fetched now; Microsoft delivers again.
        """
        named = {name.lower(): value for name, value in headers.items()}
        signature = _signature(named)
        algorithm = named.get("x-ms-signature-algorithm", "").strip().lower()
        if algorithm not in _ALGORITHMS:
            raise NotSigned("the signature's algorithm is not rsa-sha256 or stronger")
        certificate = await self._certificate(named.get("x-ms-certificate-url", "").strip())
        if not certificate.not_valid_before_utc <= self._now() <= certificate.not_valid_after_utc:
            raise NotSigned("the certificate is not valid today")
        _require_signature(certificate, algorithm, signature, body)

    async def _certificate(self, url: str) -> x509.Certificate:
        self._require_address(url, self._trust.hosts, schemes=("https",))
        async with self._fetching:
            kept = self._kept.get(url)
            if kept is None or self._monotonic() >= kept.until:
                kept = await self._fetched(url)
                while len(self._kept) >= _MOST_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[url] = kept
        if kept.certificate is None:
            raise NotSigned(kept.why)
        return kept.certificate

    async def _fetched(self, url: str) -> _Kept:
        now = self._monotonic()
        try:
            certificates = _certificates(await self._get(url))
            _require_issuer(certificates[0])
            await self._require_chain(certificates[0], certificates[1:])
        except NotSigned as error:
            return _Kept(now + _REFUSED_SECONDS, None, str(error))
        return _Kept(now + _KEPT_SECONDS, certificates[0])

    async def _require_chain(self, leaf: x509.Certificate, others: list[x509.Certificate]) -> None:
        """The chain to a root, with issuers from the setting, from the answer, or from where the certificate says."""
        roots, issuers = self._roots()
        known = [*issuers, *others]
        newest = leaf
        for _ in range(_DEEPEST):
            why = self._chain_fault(leaf, known, roots)
            if why is None:
                return
            found = await self._issuer_of(newest)
            if found is None:
                raise NotSigned(f"the certificate has no chain to a trusted root: {why}")
            known.append(found)
            newest = found
        why = self._chain_fault(leaf, known, roots)
        if why is not None:
            raise NotSigned(f"the certificate has no chain to a trusted root: {why}")

    def _chain_fault(
        self, leaf: x509.Certificate, issuers: list[x509.Certificate], roots: list[x509.Certificate]
    ) -> str | None:
        from cryptography.x509 import DNSName, verification  # noqa: PLC0415 - slow to import, and few calls need it

        try:
            builder = verification.PolicyBuilder().store(verification.Store(roots)).time(self._now())
            builder.build_server_verifier(DNSName(self._trust.subject)).verify(leaf, issuers)
        except (verification.VerificationError, ValueError) as error:
            return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return None

    async def _issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """The issuer's certificate from the address that the certificate names; authentic if the chain holds."""
        for url in _issuer_addresses(certificate):
            try:
                self._require_address(url, self._trust.issuer_hosts, schemes=("http", "https"))
                found = _certificates(await self._get(url))
            except CspError:
                continue
            if found:
                return found[0]
        return None

    @staticmethod
    def _require_address(url: str, hosts: tuple[str, ...], *, schemes: tuple[str, ...]) -> None:
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        sendable = len(url) <= 2048 and url.isascii() and url.isprintable()
        if parts.scheme not in schemes or parts.netloc.lower() not in hosts or not sendable:
            raise NotSigned("the certificate's address is not one that is allowed")

    async def _get(self, url: str) -> bytes:
        request = Request("GET", url, write=False, within=_SECONDS, timeout=_SECONDS, most_bytes=_MOST_BYTES)
        try:
            reply = await self._transport.send(request)
        except Malformed as error:
            raise NotSigned(f"what lies at the certificate's address is no certificate: {error}") from None
        if reply.status >= 500 or reply.status in (408, 429):
            raise RetryLater(f"the certificate cannot be read, status {reply.status}")
        if reply.status != 200:
            raise NotSigned(f"there is no certificate at the named address, status {reply.status}")
        return reply.body

    def _roots(self) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
        """Roots, and issuers that are known without fetching: what is not self-signed in the file."""
        if self._anchors is None:
            path = self._trust.roots or _https_roots()
            try:
                found = _anchors(Path(path).read_bytes())
            except OSError as error:
                raise Misconfigured(f"the file of trusted roots cannot be read ({type(error).__name__})") from None
            roots = [one for one in found if one.issuer == one.subject]
            self._anchors = roots, [one for one in found if one.issuer != one.subject]
        return self._anchors


def _https_roots() -> str:
    import certifi  # noqa: PLC0415 - few calls need it

    return certifi.where()


def _signature(headers: Mapping[str, str]) -> bytes:
    """The signature from x-ms-signature or Authorization, both `Signature <base64>`."""
    for name in ("x-ms-signature", "authorization"):
        scheme, _, value = headers.get(name, "").strip().partition(" ")
        if scheme.lower() == "signature" and value:
            try:
                return base64.b64decode(value.strip(), validate=True)
            except binascii.Error:
                break
    raise NotSigned("there is no readable signature")


def _certificates(content: bytes) -> list[x509.Certificate]:
    from cryptography import x509 as certificates  # noqa: PLC0415 - slow to import, and few calls need it

    try:
        if b"-----BEGIN CERTIFICATE" in content:
            return certificates.load_pem_x509_certificates(content)  # one at least, or ValueError
        return [certificates.load_der_x509_certificate(content)]
    except ValueError:
        raise NotSigned("what lies at the certificate's address is no certificate") from None


def _anchors(bundle: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM bundle; an old one that cannot be read any more is left out."""
    end = b"-----END CERTIFICATE-----"
    found: list[x509.Certificate] = []
    for part in bundle.split(end)[:-1]:
        with warnings.catch_warnings(), contextlib.suppress(NotSigned):
            warnings.simplefilter("ignore")  # some roots of the web have serial numbers that nobody gives any more
            found += _certificates(part + end)
    return found


def _require_issuer(certificate: x509.Certificate) -> None:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - as above

    names = [one.value for one in certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if names != [_ORGANISATION]:
        raise NotSigned("the certificate's issuer is not Microsoft")


def _issuer_addresses(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509 as certificates  # noqa: PLC0415 - as above
    from cryptography.x509.oid import AuthorityInformationAccessOID  # noqa: PLC0415 - as above

    try:
        extension = certificate.extensions.get_extension_for_class(certificates.AuthorityInformationAccess)
    except (certificates.ExtensionNotFound, ValueError):
        return []
    return [
        one.access_location.value
        for one in extension.value
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(one.access_location, certificates.UniformResourceIdentifier)
    ]


def _require_signature(certificate: x509.Certificate, algorithm: str, signature: bytes, body: bytes) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415 - as above

    digests: dict[str, Any] = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise NotSigned("the certificate's key is not an RSA key")
    try:
        key.verify(signature, body, padding.PKCS1v15(), digests[algorithm.partition("-")[2]]())
    except InvalidSignature:
        raise NotSigned("the signature does not fit the body") from None
