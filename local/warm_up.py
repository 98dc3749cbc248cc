"""What is done once, when all processes of a stack are ready: tokens for its users, and the first sync.

Both talk to the stack from outside, over HTTP, as anybody else would.
"""

from __future__ import annotations

import ssl
import time
import uuid
from typing import TYPE_CHECKING

import httpx

from local.settings import ROLES

if TYPE_CHECKING:
    from local.settings import Addresses

SYNC_FUNCTION = "timer_sync_all"
MOST_CUSTOMERS_WAITED_FOR = 200
FIXED_CUSTOMERS = 2  # Northwind and Fabrikam, which both vendor simulators always have
_WAIT_SECONDS = 60.0
# The names under which the ready file's users act; stable, so that a grant to one of them survives a restart
_USERS = uuid.UUID("7d3d5b0e-4a43-4f0c-9a6f-5f2b8a1c0d10")


def portal_tokens(addresses: Addresses) -> dict[str, str]:
    """A token of eight hours per kind of user: operator, reader, mapper, deadletters."""
    trust = ssl.create_default_context(cafile=str(addresses.ca_file))
    with httpx.Client(base_url=addresses.entra, verify=trust, trust_env=False) as entra:
        tokens = {}
        for name, roles in ROLES.items():
            person = {"name": f"Local {name}", "oid": str(uuid.uuid5(_USERS, name)), "roles": list(roles)}
            answer = entra.post("/_control/tokens", json=person).raise_for_status()
            tokens[name] = str(answer.json()["access_token"])
    return tokens


def first_sync(host: str, token: str, *, generated: int) -> bool:
    """Trigger the scheduled sync and, for small seeds, wait until the API lists the customers.

    Args:
        host: base address of a functions host.
        token: of somebody who may read subscriptions.
        generated: customers that the simulators generated; with more than 200 nobody waits.

    Returns:
        Whether all customers were seen.
    """
    with httpx.Client(base_url=host, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        try:
            triggered = client.post(f"/admin/functions/{SYNC_FUNCTION}", json={}, timeout=_WAIT_SECONDS)
            return triggered.is_success and generated <= MOST_CUSTOMERS_WAITED_FOR and _appear(client, generated)
        except httpx.TransportError:  # the host is gone; whoever watches it says so
            return False


def _appear(client: httpx.Client, generated: int) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        seen = _listed(client)
        if seen is None:
            return False
        if seen >= generated + FIXED_CUSTOMERS:
            return True
        time.sleep(0.2)
    return False


def _listed(client: httpx.Client) -> int | None:
    """How many customers the API lists on all pages; None if it has no such list for us."""
    seen, page = 0, "/api/customers"
    while page:
        answer = client.get(page)
        if answer.status_code in {401, 403, 404}:
            return None
        if answer.is_error:
            return 0
        body = answer.json()
        seen += len(body.get("value", []))
        page = body.get("nextLink") or ""
    return seen
