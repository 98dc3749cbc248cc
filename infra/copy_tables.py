"""Copy all tables into a file, and put such a copy back (docs/runbook.md, "Restore").

    python -m infra.copy_tables save ledger.jsonl.gz
    python -m infra.copy_tables restore ledger.jsonl.gz       into empty tables only

It works on the tables themselves, with TABLES_ENDPOINT and your own `az login`, or with TABLES_CONNECTION_STRING. A
copy holds the names of customers, and who asked for what: keep it as you keep the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from shared.domain.errors import CspError, Misconfigured
from shared.settings import TableSettings, read
from shared.storage.azure_tables import AzureTables
from shared.storage.copies import is_empty, lines_of, put_back
from shared.usecases.restoring import set_alarms


async def save(tables: AzureTables, file: Path) -> str:
    """Write the copy beside its place and put it there when it is whole; what to tell."""
    begun = file.with_name(f"{file.name}.part")
    rows = 0
    readable_by_us = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(readable_by_us, "wb") as raw, gzip.open(raw, "wt", encoding="utf-8") as text:
        async for line in lines_of(tables):
            text.write(f"{line}\n")
            rows += 1
    begun.replace(file)
    return f"Saved {rows} rows to {file}."


async def restore(tables: AzureTables, file: Path) -> str:
    """Put a copy into empty tables, and set the alarms of what is open; what to tell. Raises Misconfigured."""
    if not await is_empty(tables):
        raise Misconfigured("the tables are not empty; a copy would mix older rows with newer ones")
    with gzip.open(file, "rt", encoding="utf-8") as text:
        rows = await put_back(tables, (line for line in text if line.strip()))
    alarms = await set_alarms(tables, datetime.now(UTC))
    return f"Restored {rows} rows; {alarms} operations and bulks are open and have an alarm."


async def _run(arguments: argparse.Namespace) -> str:
    settings = read(TableSettings)
    connection = settings.tables_connection_string
    if connection is None and not settings.tables_endpoint:
        raise Misconfigured("TABLES_CONNECTION_STRING or TABLES_ENDPOINT is needed")
    tables = AzureTables(
        connection_string=connection.get_secret_value() if connection else None, endpoint=settings.tables_endpoint
    )
    try:
        return await (save if arguments.what == "save" else restore)(tables, arguments.file)
    finally:
        await tables.close()


def main() -> int:
    """The exit code: 0 where it was done."""
    parser = argparse.ArgumentParser(prog="python -m infra.copy_tables", description="Copy the tables, or put one back")
    parser.add_argument("what", choices=("save", "restore"))
    parser.add_argument("file", type=Path, help="gzipped lines of JSON")
    try:
        print(asyncio.run(_run(parser.parse_args())))
    except (CspError, OSError, ValueError, EOFError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
