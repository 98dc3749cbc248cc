"""The few calls of Microsoft Graph that registering needs: applications and service principals, found and changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.transport import Reply, Request, Retries, Transport

NOT_MADE_YET = "00000000-0000-0000-0000-000000000000"
_SECONDS = 30.0
_TRIES = 8  # a new application is known everywhere only after a few seconds
_READ = Retries(attempts=3, statuses=frozenset({429, 500, 502, 503, 504}))


class GraphError(Exception):
    """Microsoft Graph refused; the sentence is its own."""


class Graph:
    """Microsoft Graph, as whoever the token is of; `changes` says what was done, or in a dry run what would be."""

    def __init__(
        self,
        transport: Transport,
        token: str,
        *,
        dry_run: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._token = token
        self.dry_run = dry_run
        self._sleep = sleep
        self.changes: list[str] = []

    async def application(self, unique_name: str) -> dict[str, Any] | None:
        """The application that was made under a name of ours. Raises GraphError."""
        return await self._found(f"v1.0/applications(uniqueName='{unique_name}')")

    async def create_application(self, unique_name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make an application under a name of ours; the same one where it was made meanwhile. Raises GraphError."""
        path = f"v1.0/applications(uniqueName='{unique_name}')"
        headers = {"Prefer": "create-if-missing"}
        made = await self._changed("PATCH", path, body, f"create the application {unique_name}", headers=headers)
        return made or {"id": "", "appId": NOT_MADE_YET, **body}

    async def update_application(self, application: dict[str, Any], changes: dict[str, Any]) -> None:
        """Change properties of an application. Raises GraphError."""
        said = f"change {', '.join(sorted(changes))} of {application.get('displayName')}"
        await self._changed("PATCH", f"v1.0/applications/{application['id']}", changes, said)

    async def service_principal(self, app_id: str) -> dict[str, Any] | None:
        """What an application is in this tenant. Raises GraphError."""
        return await self._found(f"v1.0/servicePrincipals(appId='{app_id}')")

    async def create_service_principal(self, app_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Let an application be something in this tenant. Raises GraphError."""
        whole = {"appId": app_id, **body}
        made = await self._changed("POST", "v1.0/servicePrincipals", whole, f"create the service principal of {app_id}")
        return made or whole

    async def update_service_principal(self, principal: dict[str, Any], changes: dict[str, Any]) -> None:
        """Change properties of a service principal. Raises GraphError."""
        said = f"change {', '.join(sorted(changes))} of the service principal of {principal['appId']}"
        await self._changed("PATCH", f"v1.0/servicePrincipals/{principal['id']}", changes, said)

    async def _found(self, path: str) -> dict[str, Any] | None:
        reply = await self._send("GET", path, None, {})
        if reply.status == 404:
            return None
        return _document(reply)

    async def _changed(
        self, method: str, path: str, body: dict[str, Any], said: str, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        self.changes.append(said)
        if self.dry_run:
            return {}
        for attempt in range(1, _TRIES + 1):
            reply = await self._send(method, path, body, headers or {})
            if reply.status != 404 and not _not_everywhere_yet(reply):
                break
            await self._sleep(attempt)
        return _document(reply) if reply.status != 204 else {}

    async def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Reply:
        return await self._transport.send(
            Request(
                method,
                path,
                write=method != "GET",
                within=3 * _SECONDS,
                timeout=_SECONDS,
                headers={"Authorization": f"Bearer {self._token}", **headers},
                body=body,
                retries=_READ,
            )
        )


def _not_everywhere_yet(reply: Reply) -> bool:
    return reply.status == 400 and b"does not reference a valid application object" in reply.body


def _document(reply: Reply) -> dict[str, Any]:
    document = reply.json() if reply.body else {}
    if reply.status >= 400 or not isinstance(document, dict):
        error = document.get("error", {}) if isinstance(document, dict) else {}
        raise GraphError(f"{reply.status} {error.get('code', '')}: {error.get('message', '')}".strip(" :"))
    return document
