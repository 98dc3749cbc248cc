"""The fixed identities of the local world: the partner's tenant, the known applications and the seeded refresh tokens.

They are public on purpose, so that a test, the supervisor and a person with curl can all use them without asking.
The token service (`local.entra.authority`) answers for them, the Partner Center simulator takes the tenant and the
audience from here.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTNER_TENANT = "6f0c2c5e-1a3b-4d52-9a44-2d8a7f1b9c01"
API_AUDIENCE = "api://csp-functions"
PARTNER_CENTER_AUDIENCE = "https://api.partnercenter.microsoft.com"
AGENT_OBJECT_ID = "a6e20000-0000-4000-8000-000000000a01"
AGENT_NAME = "agent@partnersim.example"


@dataclass(frozen=True)
class ClientApplication:
    """A confidential client that may ask for tokens with its secret."""

    client_id: str
    secret: str
    display_name: str


PARTNER_CENTER_APP = ClientApplication(
    client_id="5a1d0000-0000-4000-8000-00000000c5b1",
    secret="local-partner-center-secret",
    display_name="CSP actions app",
)

REFRESH_TOKEN_WITH_MFA = "0.local-refresh-token-with-mfa"
REFRESH_TOKEN_WITHOUT_MFA = "0.local-refresh-token-without-mfa"
REFRESH_TOKEN_EXPIRED = "0.local-refresh-token-expired"
