"""The certificates behind signed webhooks: a root, an issuer, the signing certificate, and the https server with them.

At Microsoft the signing certificate is fetched from an address that the delivery names, and its issuer from an address
that the certificate names. Both are served here, the first over TLS; `roots.pem` is what a client has to trust.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

MICROSOFT = "Microsoft Corporation"
SUBJECT = "pcnotifications-dispatch.microsoft.com"
_DAY = timedelta(days=1)
_LIFETIME = 30 * _DAY

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        """The certificate as it is served."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate as a trust file holds it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, body: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
        """Sign as Microsoft does: RSA PKCS#1 v1.5."""
        if not isinstance(self.key, rsa.RSAPrivateKey):
            raise TypeError("only an RSA key signs webhooks")
        return self.key.sign(body, padding.PKCS1v15(), digest or hashes.SHA256())


class Authority:
    """A root and an issuer below it; `organisation` is what the issuer calls itself."""

    def __init__(self, organisation: str = MICROSOFT) -> None:
        self.root = _certificate(
            _name(organisation, "Local webhook root"), None, ec.generate_private_key(ec.SECP256R1())
        )
        self.issuer = _certificate(
            _name(organisation, "Local webhook issuer"), self.root, ec.generate_private_key(ec.SECP256R1())
        )

    def signer(
        self, *, subject: str = SUBJECT, issuer_url: str | None = None, expired: bool = False, by_root: bool = False
    ) -> Identity:
        """A certificate that signs webhooks; `issuer_url` is where it says that its issuer's lies."""
        key = rsa.generate_private_key(65537, 2048)
        began = datetime.now(UTC) - (3 * _LIFETIME if expired else _DAY)
        above = self.root if by_root else self.issuer
        return _certificate(_name("", subject), above, key, names=[subject], began=began, issuer_url=issuer_url)

    def server(self) -> Identity:
        """A certificate for TLS on this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _certificate(_name("", "localhost"), self.root, key, names=["localhost", "127.0.0.1"])


class CertificateServer:
    """Serves bytes by path over TLS on 127.0.0.1, from a thread of its own that ends with the process."""

    def __init__(self, identity: Identity, port: int = 0) -> None:
        self.contents: dict[str, bytes] = {}
        self.asked: list[str] = []
        contents, asked = self.contents, self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                found = contents.get(self.path)
                self.send_response(200 if found is not None else 404)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.socket = _context(identity).wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, name="certificates", daemon=True).start()

    @property
    def host(self) -> str:
        """The host with its port, as an allow-list names it."""
        return f"localhost:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        chain, key = Path(directory, "server.pem"), Path(directory, "server.key")
        chain.write_bytes(identity.pem)
        key.touch(mode=0o600)
        key.write_bytes(
            identity.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context.load_cert_chain(chain, key)
    return context


def _name(organisation: str, common: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def _certificate(
    subject: x509.Name,
    above: Identity | None,
    key: PrivateKey,
    *,
    names: list[str] | None = None,
    began: datetime | None = None,
    issuer_url: str | None = None,
) -> Identity:
    """An authority's certificate where it has no `names`, else one for these."""
    began = began or datetime.now(UTC) - _DAY
    signing = above.key if above else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(_usage(authority=names is None), critical=True)
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if issuer_url:
        where = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
    return Identity(builder.sign(signing, hashes.SHA256()), key)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
