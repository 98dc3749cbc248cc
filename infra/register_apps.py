"""Registers the two applications in Entra ID and says what an administrator still has to do.

    az login --tenant TENANT --allow-no-subscriptions
    python -m infra.register_apps --tenant TENANT --environment prod [--dry-run]

The API (with the app roles, tokens of version 2) and the client that acts at Partner Center. It changes nothing where
everything is as it should be, so it can be run again at any time; it makes no secret and sees none. Whoever runs it
needs the Entra role Application Administrator. GRAPH_ACCESS_TOKEN in the environment is used instead of the CLI's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.graph import Graph, GraphError
from infra.registrations import PARTNER_CENTER, api_registration, client_registration, lacking, permission_id
from shared.domain.errors import CspError
from shared.identity import Role
from shared.transport import Transport

_GRAPH = "https://graph.microsoft.com"


@dataclass(frozen=True)
class Registered:
    """The client ids of the two applications."""

    api: str
    partner_center: str


async def register(graph: Graph, environment: str, redirect_uri: str) -> Registered:
    """Make both registrations what they must be. Raises GraphError."""
    api = await _application(
        graph, f"csp-functions-api-{environment}", api_registration(f"csp-functions {environment}")
    )
    await _identified(graph, api)
    await _principal(graph, api["appId"], {"appRoleAssignmentRequired": True})
    partner_center = await graph.service_principal(PARTNER_CENTER) or await graph.create_service_principal(
        PARTNER_CENTER, {}
    )
    permission = permission_id(partner_center)
    if permission is None and not graph.dry_run:
        raise GraphError("Partner Center shows no permission in this tenant yet; run this again in a minute")
    wanted = client_registration(f"csp-functions {environment} at Partner Center", permission or "", redirect_uri)
    client = await _application(graph, f"csp-functions-partner-center-{environment}", wanted)
    await _principal(graph, client["appId"], {})
    return Registered(str(api["appId"]), str(client["appId"]))


async def _application(graph: Graph, unique_name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    present = await graph.application(unique_name)
    if present is None:
        return await graph.create_application(unique_name, wanted)
    changes = lacking(wanted, present)
    if changes:
        await graph.update_application(present, changes)
    return present


async def _identified(graph: Graph, api: dict[str, Any]) -> None:
    """Name the API by its own client id: clients ask for api://CLIENT-ID/.default."""
    changes = lacking({"identifierUris": [f"api://{api['appId']}"]}, api)
    if changes:
        await graph.update_application(api, changes)


async def _principal(graph: Graph, app_id: str, wanted: dict[str, Any]) -> None:
    present = await graph.service_principal(app_id)
    if present is None:
        await graph.create_service_principal(app_id, wanted)
    elif changes := lacking(wanted, present):
        await graph.update_service_principal(present, changes)


def what_remains(tenant: str, environment: str, ids: Registered) -> str:
    """What only a person can do, in the order in which it is done."""
    roles = "\n".join(f"     {role.value}" for role in Role)
    return f"""
Give the ids to the deployment:
     azd env set API_CLIENT_ID {ids.api}
     azd env set PARTNER_CENTER_CLIENT_ID {ids.partner_center}

What an administrator has to do:
  1. Give users, groups and services their roles: Entra ID > Enterprise applications > csp-functions {environment} >
     Users and groups. Nobody gets a token without one. The roles are
{roles}
  2. Consent to Partner Center for the whole tenant (Global Administrator):
     https://login.microsoftonline.com/{tenant}/adminconsent?client_id={ids.partner_center}
  3. Add the application {ids.partner_center} in Partner Center > Account settings > App management > Web app.
  4. A portal that signs users in asks for api://{ids.api}/access_as_user, a service for api://{ids.api}/.default.
  5. Make a secret for Partner Center and put it into the vault without showing it (after azd provision):
     az keyvault secret set --vault-name "$SETTINGS_VAULT_NAME" --name partner-center-client-secret --output none \\
       --value "$(az ad app credential reset --id {ids.partner_center} --append --years 1 --query password -o tsv)"
"""


async def _run(arguments: argparse.Namespace, token: str) -> int:
    transport = Transport(arguments.graph, now=lambda: datetime.now(UTC))
    graph = Graph(transport, token, dry_run=arguments.dry_run)
    try:
        ids = await register(graph, arguments.environment, arguments.redirect_uri)
    except (GraphError, CspError) as error:
        print(f"Microsoft Graph: {error}", file=sys.stderr)
        return 1
    finally:
        await transport.aclose()
    done = "would " if arguments.dry_run else ""
    print("\n".join(f"{done}{change}" for change in graph.changes) or "Nothing to change.")
    print(what_remains(arguments.tenant, arguments.environment, ids))
    return 0


def _token(tenant: str) -> str:
    given = os.environ.get("GRAPH_ACCESS_TOKEN")
    if given:
        return given
    from azure.identity import AzureCliCredential  # noqa: PLC0415 - not needed where a token is given

    return str(AzureCliCredential(tenant_id=tenant).get_token(f"{_GRAPH}/.default").token)


def main() -> int:
    """Read the arguments and register; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.register_apps", description="Register the applications")
    parser.add_argument("--tenant", required=True, help="the partner's tenant, a GUID")
    parser.add_argument("--environment", required=True, help="such as prod; part of the applications' names")
    parser.add_argument("--redirect-uri", default="http://localhost:8400", help="where the consent command listens")
    parser.add_argument("--dry-run", action="store_true", help="say what would be changed and change nothing")
    parser.add_argument("--graph", default=_GRAPH, help="Microsoft Graph of another cloud")
    arguments = parser.parse_args()
    return asyncio.run(_run(arguments, _token(arguments.tenant)))


if __name__ == "__main__":
    sys.exit(main())
