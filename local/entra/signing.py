"""Signing keys and compact JWS: good signatures for clients, and bad ones on purpose to test a verifier with.

The bad ones are a stranger's key, `none` and HS256. The compact form is assembled here rather than by a library,
because libraries rightly refuse to make the forged kinds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _encoded_number(number: int) -> str:
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _encoded_json(value: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


class SigningKey:
    """An RSA key with the key id under which the JWKS shows it."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._key.public_key().public_numbers()
        self._modulus = _encoded_number(numbers.n)
        self._exponent = _encoded_number(numbers.e)
        self.key_id = _encoded(hashlib.sha256(self._modulus.encode()).digest()[:20])

    def public_jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key."""
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.key_id,
            "x5t": self.key_id,
            "n": self._modulus,
            "e": self._exponent,
        }

    def rs256(self, claims: Mapping[str, Any], *, key_id: str | None = None) -> str:
        """The claims signed with this key; `key_id` lets a forger name somebody else's key."""
        kid = key_id or self.key_id
        signed = f"{_encoded_json({'typ': 'JWT', 'alg': 'RS256', 'kid': kid})}.{_encoded_json(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"

    def hs256(self, claims: Mapping[str, Any]) -> str:
        """The classic forgery: HMAC with the public key as the secret, in the hope that the verifier trusts `alg`."""
        pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = f"{_encoded_json({'typ': 'JWT', 'alg': 'HS256', 'kid': self.key_id})}.{_encoded_json(claims)}"
        return f"{signed}.{_encoded(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"


def unsigned(claims: Mapping[str, Any]) -> str:
    """A token with `alg: none` and no signature."""
    return f"{_encoded_json({'typ': 'JWT', 'alg': 'none'})}.{_encoded_json(claims)}."
