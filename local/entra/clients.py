"""Which applications the directory knows, and how one proves who it is: by its secret, or by a signed assertion."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast

import jwt
from cryptography.hazmat.primitives import hashes

from local.entra.identities import PARTNER_CENTER_APP, ClientApplication
from local.entra.refusals import GrantRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Clients:
    """The registered applications; all of them may sign with the one registered certificate."""

    def __init__(self, certificate: x509.Certificate | None) -> None:
        self._known: dict[str, ClientApplication] = {PARTNER_CENTER_APP.client_id: PARTNER_CENTER_APP}
        self._certificate = certificate
        self._used_assertions: set[str] = set()

    def find(self, client_id: str) -> ClientApplication:
        """The application with an id, or `GrantRefusedError`."""
        client = self._known.get(client_id.lower())
        if client is None:
            raise GrantRefusedError(
                400, "unauthorized_client", 700016, f"Application with identifier '{client_id}' was not found."
            )
        return client

    def authenticate(self, form: Mapping[str, str], audience: str) -> ClientApplication:
        """The application that a token request comes from; `audience` is the token endpoint that it asked."""
        client = self.find(form.get("client_id", ""))
        if "client_assertion" in form:
            self._require_signed(client, form, audience)
        elif "client_secret" not in form:
            raise GrantRefusedError(
                401, "invalid_client", 7000218, "The request body must contain 'client_assertion' or 'client_secret'."
            )
        elif not secrets.compare_digest(form["client_secret"].encode(), client.secret.encode()):
            raise GrantRefusedError(
                401, "invalid_client", 7000215, f"Invalid client secret provided for app '{client.client_id}'."
            )
        return client

    def _require_signed(self, client: ClientApplication, form: Mapping[str, str], audience: str) -> None:
        """RFC 7523 as Entra takes it: the certificate is named by its thumbprint, and an assertion counts once."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise GrantRefusedError(400, "invalid_request", 900144, "The 'client_assertion_type' is not supported.")
        assertion = form["client_assertion"]
        try:
            thumbprint = str(jwt.get_unverified_header(assertion).get("x5t#S256", "")).rstrip("=")  # MSAL pads it
            if self._certificate is None or thumbprint != _thumbprint(self._certificate):
                raise _unknown_certificate(client)
            claims = jwt.decode(
                assertion,
                cast("RSAPublicKey", self._certificate.public_key()),
                algorithms=["PS256"],
                audience=audience,
                issuer=client.client_id,
                options={"require": ["exp", "aud", "iss", "sub", "jti"]},
            )
        except jwt.ExpiredSignatureError:
            raise GrantRefusedError(401, "invalid_client", 700024, "The client assertion has expired.") from None
        except jwt.InvalidTokenError:
            raise _unknown_certificate(client) from None
        if claims["sub"] != client.client_id or claims["jti"] in self._used_assertions:
            raise _unknown_certificate(client)
        self._used_assertions.add(claims["jti"])


def _thumbprint(certificate: x509.Certificate) -> str:
    digest: bytes = certificate.fingerprint(hashes.SHA256())
    return jwt.utils.base64url_encode(digest).decode()


def _unknown_certificate(client: ClientApplication) -> GrantRefusedError:
    return GrantRefusedError(
        401,
        "invalid_client",
        700027,
        f"The certificate with identifier used to sign the client assertion is not registered on '{client.client_id}'.",
    )
