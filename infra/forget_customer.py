"""Delete everything that the application keeps of one customer (docs/data.md).

    python -m infra.forget_customer CUSTOMER                               shows what would go
    python -m infra.forget_customer CUSTOMER --apply --reference DSR-17    removes it

It works on the tables themselves, with TABLES_ENDPOINT and your own `az login`, or with TABLES_CONNECTION_STRING.
Nothing at Partner Center or in Autotask is changed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta

from shared.domain.errors import CspError, Misconfigured, Refused
from shared.settings import TableSettings, read
from shared.storage.azure_tables import AzureTables
from shared.storage.mentions import Mentions
from shared.storage.sync_runs import SyncRuns
from shared.usecases.forgetting import QUIET, Survey, forget, survey

_CUSTOMER = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REFERENCE = re.compile("[A-Za-z0-9._-]{1,64}")
DONE, FAILED, STANDS_AGAINST = 0, 1, 3


async def _run(arguments: argparse.Namespace, settings: TableSettings) -> int:
    connection = settings.tables_connection_string
    tables = AzureTables(
        connection_string=connection.get_secret_value() if connection else None, endpoint=settings.tables_endpoint
    )
    mentions, runs, now = Mentions(tables), SyncRuns(tables), datetime.now(UTC)
    quiet = timedelta(hours=arguments.quiet_hours)
    listed = arguments.although_listed
    try:
        if not arguments.apply:
            return _show(await survey(mentions, runs, arguments.customer, now=now, quiet=quiet, listed=listed))
        done = await forget(
            mentions, runs, arguments.customer, arguments.reference, now=now, quiet=quiet, listed=listed
        )
    finally:
        await tables.close()
    print(f"Done; {sum(done.found.values())} rows were there when it began.")
    print(f"What remains is a note: {done.reference}, customer {done.digest}.")
    return DONE


def _show(found: Survey) -> int:
    for kind, count in found.found.items():
        print(f"{count:8}  {kind}")
    print(f"{sum(found.found.values()):8}  rows would go; nothing was removed.")
    for line in found.billed:
        print(f"Autotask goes on billing {line}.")
    for place in found.unknown:
        print(f"No rule covers what is in {place}.")
    for obstacle in found.obstacles:
        print(f"Stands against it: {obstacle}.")
    return STANDS_AGAINST if found.obstacles or found.unknown else DONE


def _customer(text: str) -> str:
    if not _CUSTOMER.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("a customer is named by its id at Partner Center, a GUID")
    return text.lower()


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise argparse.ArgumentTypeError("at most 64 letters, digits, dots, hyphens and underscores; no name")
    return text


def main() -> int:
    """The exit code: 0 done or nothing in the way, 3 something stands against it, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m infra.forget_customer", description="Delete a customer's data")
    parser.add_argument("customer", type=_customer, help="the customer's id at Partner Center")
    parser.add_argument("--apply", action="store_true", help="remove it; without this, what would go is shown")
    parser.add_argument("--reference", type=_reference, help="of the request, such as DSR-2026-17; it is kept")
    parser.add_argument("--although-listed", action="store_true", help="also while Partner Center lists the customer")
    hours = QUIET.total_seconds() / 3600
    parser.add_argument(
        "--quiet-hours", type=float, default=hours, help="since the last operation (default: %(default)g)"
    )
    arguments = parser.parse_args()
    if arguments.apply and not arguments.reference:
        parser.error("--apply needs --reference")
    try:
        settings = read(TableSettings)
        if not settings.tables_connection_string and not settings.tables_endpoint:
            raise Misconfigured("TABLES_CONNECTION_STRING or TABLES_ENDPOINT is needed")
        return asyncio.run(_run(arguments, settings))
    except Refused as error:
        print(f"Stands against it: {error.sentence}.", file=sys.stderr)
        return STANDS_AGAINST
    except CspError as error:
        print(f"Failed: {error}. Started again, it goes on.", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
