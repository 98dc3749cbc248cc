"""How the application proves to Entra ID who it is: a secret, or a certificate with its private key.

A certificate is read anew for every exchange of a token, so that one that was replaced is used within the hour.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shared.domain.errors import Misconfigured

if TYPE_CHECKING:
    from shared.partner_center.key_vault import KeyVault

Credential = str | dict[str, str]  # as MSAL takes it
CredentialSource = Callable[[], Awaitable[Credential]]

_KEY = re.compile(r"-----BEGIN (?:RSA )?PRIVATE KEY-----.+?-----END (?:RSA )?PRIVATE KEY-----", re.DOTALL)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def from_secret(secret: str) -> CredentialSource:
    """A client secret."""

    async def read() -> Credential:
        return secret

    return read


def from_file(path: str) -> CredentialSource:
    """A PEM file with an RSA key without a passphrase and its certificate, in any order."""

    async def read() -> Credential:
        try:
            content = await asyncio.to_thread(Path(path).read_text, encoding="ascii")
        except (OSError, ValueError) as error:
            raise Misconfigured(f"the client certificate's file cannot be read ({type(error).__name__})") from None
        return parse(content)

    return read


def from_key_vault(vault: KeyVault, name: str) -> CredentialSource:
    """The secret under which Key Vault keeps a certificate with its key."""

    async def read() -> Credential:
        found = await vault.get(name)
        if found is None or not found.value:
            raise Misconfigured("Key Vault holds no secret with the name of the client certificate")
        return parse(found.value)

    return read


def parse(content: str) -> Credential:
    """Key and certificate out of PEM text, or out of PKCS #12 in base64 as Key Vault hands it out.

    Raises:
        Misconfigured: there is no RSA key without a passphrase, or no certificate of that key.
    """
    text = content if "-----BEGIN" in content else _pem_of_pkcs12(content)
    key, certificates = _KEY.search(text), _CERTIFICATE.findall(text)
    if key is None or not certificates:
        raise Misconfigured("the client certificate needs a private key without a passphrase and a certificate")
    return {"private_key": key[0], "public_certificate": _certificate_of(key[0], certificates)}


def _certificate_of(key: str, certificates: list[str]) -> str:
    """The certificate that belongs to the key; a chain carries others beside it."""
    from cryptography import x509  # noqa: PLC0415 - slow to import, and only a certificate needs it
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

    try:
        private = load_pem_private_key(key.encode(), None)
        parsed = [(text, x509.load_pem_x509_certificate(text.encode()).public_key()) for text in certificates]
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"the client certificate cannot be read ({type(error).__name__})") from None
    if not isinstance(private, RSAPrivateKey):
        raise Misconfigured("the client certificate's key is not an RSA key")
    public = private.public_key()
    fitting = [text for text, certified in parsed if certified == public]
    if not fitting:
        raise Misconfigured("the client certificate does not belong to its private key")
    return fitting[0]


def _pem_of_pkcs12(content: str) -> str:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - see above
        Encoding,
        NoEncryption,
        PrivateFormat,
        pkcs12,
    )

    try:
        archive = pkcs12.load_pkcs12(base64.b64decode(content, validate=True), None)
    except (ValueError, binascii.Error):
        raise Misconfigured("the client certificate is neither PEM nor PKCS #12 without a password") from None
    parts = []
    if archive.key is not None:
        parts.append(archive.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if archive.cert is not None:
        parts.append(archive.cert.certificate.public_bytes(Encoding.PEM))
    return b"".join(parts).decode()
