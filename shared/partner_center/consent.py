"""Sign in once as the user in whose name the application calls Partner Center (secure application model).

    python -m shared.partner_center.consent [--no-browser] [--port 8400] [--settings local.settings.json]

An authorization-code flow with PKCE. It reads the application's settings, lets a person sign in with a second factor,
stores the refresh token where the application looks for it, and ends a stop of Partner Center. No token is ever shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.domain.errors import CspError, Misconfigured, RetryLater
from shared.partner_center.authority import Authority, Grant
from shared.partner_center.claims import Expected, audience_of, claims_of, second_factor
from shared.partner_center.redirect import listening, query_of
from shared.partner_center.refresh_tokens import RefreshTokens
from shared.partner_center.rotation import UserSignIn
from shared.partner_center.sign_in import authority, refresh_tokens
from shared.settings import SignIn, SignInSettings, read
from shared.storage.azure_tables import AzureTables
from shared.storage.coordination import Coordination

_PORT = 8400


def main() -> int:
    """The exit code: 0 where a token was stored."""
    arguments = _parser().parse_args()
    try:
        if arguments.settings:
            _take_over(arguments.settings)
        asyncio.run(_consent(read(SignInSettings), arguments))
    except CspError as error:
        print(f"Nothing was stored: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Nothing was stored.", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shared.partner_center.consent", description="Sign in for the application (docs/runbook.md)."
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address and take the pasted redirect")
    parser.add_argument(
        "--port", type=int, default=_PORT, help="of the redirect to this machine (default: %(default)s)"
    )
    parser.add_argument("--redirect-uri", help="a registered one, for --no-browser; default: http://localhost:PORT")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for the person (default: 600)")
    parser.add_argument("--settings", type=Path, help="a local.settings.json whose Values are taken as settings")
    return parser


def _take_over(file: Path) -> None:
    """The values of a settings file; the environment wins."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["Values"]
        for name, value in values.items():
            os.environ.setdefault(name, str(value))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misconfigured(f"{file} is no local.settings.json ({type(error).__name__})") from None


async def _consent(settings: SignInSettings, arguments: argparse.Namespace) -> None:
    if not settings.tables_connection_string and not settings.tables_endpoint:
        raise Misconfigured("TABLES_CONNECTION_STRING or TABLES_ENDPOINT is needed")
    store = refresh_tokens(settings, _now)
    entra = authority(settings)
    try:
        grant = await (_by_hand if arguments.no_browser else _in_browser)(entra, arguments)
        _require_fit(settings, grant)
        await _keep(settings, entra, store, grant.refresh_token)
    finally:
        await store.close()
    print(f"The refresh token is stored in {store}.")
    if settings.partner_center_sign_in is not SignIn.USER:
        print("It is used once PARTNER_CENTER_SIGN_IN is 'user'.")


async def _in_browser(entra: Authority, arguments: argparse.Namespace) -> Grant:
    async with listening(arguments.port) as redirect:
        flow = await entra.begin(redirect.uri, by_form=True)
        redirect.state = flow["state"]
        _show(flow)
        if not await asyncio.to_thread(webbrowser.open, flow["auth_uri"]):
            print("No browser could be opened; open the address by hand on this machine.")
        print(f"Waiting for the answer at {redirect.uri} ...", flush=True)
        return await _finish(entra, flow, await redirect.answer(arguments.timeout))


async def _by_hand(entra: Authority, arguments: argparse.Namespace) -> Grant:
    flow = await entra.begin(arguments.redirect_uri or f"http://localhost:{arguments.port}", by_form=False)
    _show(flow)
    print("The browser ends at an address that may not load. Paste that address here:", flush=True)
    return await _finish(entra, flow, query_of(await asyncio.to_thread(sys.stdin.readline)))


def _show(flow: dict[str, Any]) -> None:
    print("Sign in as an admin agent of the partner's tenant, with a second factor:\n")
    print(f"  {flow['auth_uri']}\n", flush=True)


async def _finish(entra: Authority, flow: dict[str, Any], answer: dict[str, str]) -> Grant:
    if answer.get("state") != flow["state"]:
        raise Misconfigured("the answer does not belong to this sign-in; begin again")
    grant = await entra.finish(flow, answer)
    if not grant.refresh_token:
        raise Misconfigured("Entra ID gave no refresh token; the application needs the permission offline_access")
    return grant


def _require_fit(settings: SignInSettings, grant: Grant) -> None:
    """The token must be for Partner Center, from the partner's tenant, and carry a second factor."""
    Expected(settings.partner_center_tenant, audience_of(settings.scope), user=True).check(grant.access_token)
    claims = claims_of(grant.access_token)
    tenant = claims.get("tid", settings.partner_center_tenant)
    given = {True: "with a second factor", None: "the token does not tell whether with a second factor"}
    print(f"Signed in to tenant {tenant}, {given.get(second_factor(claims))}.")


async def _keep(settings: SignInSettings, entra: Authority, store: RefreshTokens, refresh_token: str) -> None:
    """Store the token in a moment when no instance exchanges the old one, and end the stop of all."""
    connection = settings.tables_connection_string
    tables = AzureTables(
        connection_string=connection.get_secret_value() if connection else None, endpoint=settings.tables_endpoint
    )
    try:
        await UserSignIn(entra, store, Coordination(tables), now=_now).adopt(refresh_token)
        print("Calls to Partner Center that were stopped go on.")
    except RetryLater as error:
        await store.save(refresh_token)
        minutes = settings.partner_center_stop_seconds / 60
        print(f"Stopped calls go on by themselves within {minutes:g} minutes ({error}).")
    finally:
        await tables.close()


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
