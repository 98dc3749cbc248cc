"""Registering the applications: everything at first, nothing the second time, and never what is somebody else's."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from infra.graph import NOT_MADE_YET, Graph, GraphError
from infra.register_apps import Registered, register
from shared.identity import Role
from shared.transport import Transport
from tests.adapters.conftest import Server
from tests.adapters.conftest import server as server  # noqa: PLC0414 - a fixture of the adapters' tests
from tests.infra.directory import Directory
from tests.infra.reader import INFRA

pytestmark = pytest.mark.anyio
TOKEN = "directory-token"
API, CLIENT = "csp-functions-api-test", "csp-functions-partner-center-test"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Desk:
    """An administrator's desk: the directory, and runs of the script against it."""

    directory: Directory
    transport: Transport
    waited: list[float] = field(default_factory=list)

    async def run(self, *, dry_run: bool = False, token: str = TOKEN) -> tuple[Registered, list[str]]:
        async def sleep(seconds: float) -> None:
            self.waited.append(seconds)

        graph = Graph(self.transport, token, dry_run=dry_run, sleep=sleep)
        return await register(graph, "test", "http://localhost:8400"), graph.changes


@pytest.fixture
async def desk(server: Server) -> AsyncIterator[Desk]:
    directory = Directory()
    server.reply = directory.answer
    transport = Transport(server.url, now=lambda: datetime.now(UTC))
    yield Desk(directory, transport)
    await transport.aclose()


async def test_the_first_run_makes_both_applications_and_lets_them_be_something_here(desk: Desk) -> None:
    ids, _ = await desk.run()

    api, client = desk.directory.applications[API], desk.directory.applications[CLIENT]
    assert ids == Registered(api["appId"], client["appId"])
    assert {role["value"] for role in api["appRoles"]} == {role.value for role in Role}
    assert all(role["allowedMemberTypes"] == ["User", "Application"] for role in api["appRoles"])
    assert api["api"]["requestedAccessTokenVersion"] == 2
    assert api["identifierUris"] == [f"api://{api['appId']}"]
    assert [scope["value"] for scope in api["api"]["oauth2PermissionScopes"]] == ["access_as_user"]
    assert client["requiredResourceAccess"][0]["resourceAccess"] == [
        {"id": "11111111-1111-4111-8111-111111111111", "type": "Scope"}
    ]
    assert desk.directory.principals[api["appId"]]["appRoleAssignmentRequired"] is True
    assert client["appId"] in desk.directory.principals


async def test_the_second_run_changes_nothing(desk: Desk) -> None:
    first, _ = await desk.run()
    desk.directory.writes.clear()

    second, changes = await desk.run()

    assert (second, changes, desk.directory.writes) == (first, [], [])


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(desk: Desk) -> None:
    ids, changes = await desk.run(dry_run=True)

    assert (ids, desk.directory.writes) == (Registered(NOT_MADE_YET, NOT_MADE_YET), [])
    assert any("create the application csp-functions-api-test" in change for change in changes)


async def test_what_somebody_changed_is_put_right_and_what_is_his_own_stays(desk: Desk) -> None:
    await desk.run()
    api = desk.directory.applications[API]
    api["api"]["requestedAccessTokenVersion"] = None
    api["appRoles"] = [role for role in api["appRoles"] if role["value"] != "Access.Manage"]
    api["appRoles"][0] |= {"id": "22222222-2222-4222-8222-222222222222", "isEnabled": False}
    by_hand = api["appRoles"][0]["value"]
    own = {"id": "33333333-3333-4333-8333-333333333333", "value": "Reports.Read", "isEnabled": True}
    api["appRoles"].append(own)
    desk.directory.applications[CLIENT]["web"]["redirectUris"] = ["https://portal.example.com"]

    _, changes = await desk.run()

    assert len(changes) == 2
    assert api["api"]["requestedAccessTokenVersion"] == 2
    roles = {role["value"]: role for role in api["appRoles"]}
    assert roles.keys() == {*(role.value for role in Role), "Reports.Read"}
    assert (roles[by_hand]["id"], roles[by_hand]["isEnabled"]) == ("22222222-2222-4222-8222-222222222222", True)
    addresses = desk.directory.applications[CLIENT]["web"]["redirectUris"]
    assert addresses == ["https://portal.example.com", "http://localhost:8400"]
    assert (await desk.run())[1] == []


async def test_it_waits_until_a_new_application_is_known(desk: Desk) -> None:
    desk.directory.unknown_for = 3

    ids, _ = await desk.run()

    assert ids.api in desk.directory.principals
    assert desk.waited == [1, 2, 3]


@pytest.mark.parametrize(("token", "forbidden", "said"), [("stale", False, "401"), ("directory-token", True, "403")])
async def test_a_refusal_is_said_in_the_directorys_words(desk: Desk, token: str, forbidden: bool, said: str) -> None:  # noqa: FBT001 - a test's parameter
    desk.directory.forbidden = forbidden

    with pytest.raises(GraphError, match=f"{said}.*The directory says no"):
        await desk.run(token=token)


async def run_script(server: Server, *arguments: str, token: str = TOKEN) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "infra.register_apps", "--tenant", "t", "--environment", "test"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--graph", server.url),
        *arguments,
        cwd=INFRA.parent,
        env={**os.environ, "GRAPH_ACCESS_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_script_prints_the_ids_and_what_an_administrator_must_consent_to(server: Server, desk: Desk) -> None:
    code, out, _ = await run_script(server)

    api, client = (desk.directory.applications[name]["appId"] for name in (API, CLIENT))
    assert code == 0
    assert f"azd env set API_CLIENT_ID {api}" in out
    assert f"azd env set PARTNER_CENTER_CLIENT_ID {client}" in out
    assert f"https://login.microsoftonline.com/t/adminconsent?client_id={client}" in out
    assert "App management" in out
    assert "directory-token" not in out
    assert "Nothing to change." in (await run_script(server))[1]


async def test_the_script_ends_with_1_and_a_sentence_where_it_may_not(server: Server, desk: Desk) -> None:
    desk.directory.forbidden = True

    code, _, err = await run_script(server)

    assert (code, err.strip()) == (1, "Microsoft Graph: 403 Authorization_RequestDenied: The directory says no.")
