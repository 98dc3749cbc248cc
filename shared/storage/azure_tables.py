"""The adapter for Azure Table Storage: Azurite on a laptop, the real service in the cloud, the same code.

The only import of `azure.data.tables`. See `shared.storage.store` for the port.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from azure.core import MatchConditions
from azure.core.async_paging import AsyncItemPaged
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables import EdmType, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.domain.errors import CspError, Misconfigured, RetryLater
from shared.storage.store import TABLES, Delete, Insert, Page, Replace, Row, Scalar, Upsert, Write, WriteConflict, guard

_PASSING = {408, 409, 412, 429}
_PATIENCE: dict[str, Any] = {"retry_total": 2, "connection_timeout": 5, "read_timeout": 15}


class AzureTables:
    """The adapter for Azure Table Storage. The client is opened on first use, inside the running event loop."""

    def __init__(self, *, connection_string: str | None = None, endpoint: str | None = None) -> None:
        self._connection_string = connection_string
        self._endpoint = endpoint
        self._service: TableServiceClient | None = None
        self._opening = asyncio.Lock()
        self._tables: dict[str, TableClient] = {}

    async def _table(self, table: str) -> TableClient:
        if table not in self._tables:  # to make a client costs as much as to use it
            self._tables[table] = (await self._client()).get_table_client(table)
        return self._tables[table]

    async def _client(self) -> TableServiceClient:
        async with self._opening:
            if self._service is None:
                self._service = await self._open()
        return self._service

    async def _open(self) -> TableServiceClient:
        # Told to heed the environment, the transport asks two threads for a .netrc and a proxy at each request,
        # which is a tenth of all that the app computes
        transport = AioHttpTransport(use_env_settings=bool(urllib.request.getproxies()), **_PATIENCE)
        more: dict[str, Any] = {"transport": transport, **_PATIENCE}
        if self._connection_string:
            service = TableServiceClient.from_connection_string(self._connection_string, **more)
        else:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow; a connection string needs none

            service = TableServiceClient(cast("str", self._endpoint), credential=DefaultAzureCredential(), **more)
        try:
            for table in TABLES:
                await service.create_table_if_not_exists(table)
        except AzureError as error:
            await service.close()
            raise _failed(error) from error
        return service

    async def close(self) -> None:
        """Close the connections."""
        if self._service is not None:
            await self._service.close()
            self._service = None
            self._tables.clear()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """See TableStore."""
        client = await self._table(table)
        try:
            return _row(await client.get_entity(partition, key))
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise _failed(error) from error

    async def span(self, table: str, partition: str, start: str, end: str, *, limit: int | None = None) -> list[Row]:
        """See TableStore."""
        client = await self._table(table)
        rows: list[Row] = []
        try:
            found = client.query_entities(
                "PartitionKey eq @partition and RowKey ge @start and RowKey lt @end",
                parameters={"partition": partition, "start": start, "end": end},
                results_per_page=min(limit, 1000) if limit else None,
            )
            async for entity in found:
                rows.append(_row(entity))
                if limit and len(rows) == limit:
                    break
        except AzureError as error:
            raise _failed(error) from error
        return rows

    async def page(
        self,
        table: str,
        *,
        partition: str | None,
        equals: Mapping[str, Scalar],
        size: int,
        continuation: str | None = None,
    ) -> Page:
        """See TableStore."""
        client = await self._table(table)
        wanted: dict[str, Scalar] = dict(equals)
        if partition is not None:
            wanted["PartitionKey"] = partition
        condition = " and ".join(f"{name} eq @p{index}" for index, name in enumerate(wanted))
        parameters = {f"p{index}": value for index, value in enumerate(wanted.values())}
        rows: list[Row] = []
        mark: Any = json.loads(continuation) if continuation else None
        try:
            while len(rows) < size:
                found: AsyncItemPaged[Any] = (
                    client.query_entities(condition, parameters=parameters, results_per_page=size - len(rows))
                    if condition
                    else client.list_entities(results_per_page=size - len(rows))
                )
                pages = found.by_page(continuation_token=mark)
                async for chunk in pages:
                    rows += [_row(entity) async for entity in chunk]
                    break
                mark = getattr(pages, "continuation_token", None)
                if not mark:
                    break
        except AzureError as error:
            raise _failed(error) from error
        return Page(rows, json.dumps(mark) if mark else None)

    async def following(self, table: str, partition: str) -> str | None:
        """See TableStore."""
        client = await self._table(table)
        try:
            found = client.query_entities(
                "PartitionKey gt @partition", parameters={"partition": partition}, results_per_page=1
            )
            async for entity in found:
                return str(entity["PartitionKey"])
        except AzureError as error:
            raise _failed(error) from error
        return None

    async def write(self, table: str, writes: Sequence[Write]) -> list[str | None]:
        """See TableStore."""
        guard(writes)
        client = await self._table(table)
        try:
            match writes:
                case [Delete(_, _, str())]:  # alone, the SDK would not say that the row is gone
                    pass
                case [write]:
                    return [await _alone(client, write)]
            answers = await client.submit_transaction([_operation(write) for write in writes])
        except HttpResponseError as error:
            if _is_conflict(error):
                raise WriteConflict(str(getattr(error, "error_code", error.status_code))) from error
            raise _failed(error) from error
        except AzureError as error:
            raise _failed(error) from error
        return [cast("str | None", answer.get("etag")) for answer in answers]


async def _alone(client: TableClient, write: Write) -> str | None:
    """One write by itself costs half of what a transaction of one costs. Gives the new etag."""
    match write:
        case Insert(row):
            answer = await client.create_entity(_entity(row))
        case Upsert(row):
            answer = await client.upsert_entity(_entity(row), mode=UpdateMode.REPLACE)
        case Replace(row):
            keep: dict[str, Any] = {"etag": row.etag, "match_condition": MatchConditions.IfNotModified}
            answer = await client.update_entity(_entity(row), mode=UpdateMode.REPLACE, **keep)
        case Delete(partition, key):  # the only write that may find nothing
            await client.delete_entity(partition, key)
            return None
    return cast("str | None", answer.get("etag"))


def _is_conflict(error: Any) -> bool:
    """Whether a row was there, was changed, or was gone; of a transaction the SDK has one class for all of them."""
    code = str(getattr(error, "error_code", "") or "")
    if isinstance(error, ResourceExistsError | ResourceModifiedError):
        return True
    if isinstance(error, ResourceNotFoundError):
        return "TableNotFound" not in code and "TABLE_NOT_FOUND" not in code
    return any(word in code for word in ("EntityAlreadyExists", "UpdateConditionNotSatisfied", "ResourceNotFound"))


def _failed(error: Exception) -> CspError:
    """What a failure means: what storage refuses, it refuses again until a person has changed something."""
    status = getattr(error, "status_code", None)
    if status is not None and 400 <= status < 500 and status not in _PASSING:
        return Misconfigured(f"table storage refuses ({status} {getattr(error, 'error_code', '') or ''})".rstrip())
    return RetryLater(f"table storage does not answer ({type(error).__name__})")


def _operation(write: Write) -> Any:

    match write:
        case Insert(row):
            return "create", _entity(row)
        case Upsert(row):
            return "upsert", _entity(row), {"mode": UpdateMode.REPLACE}
        case Replace(row):
            keep = {"mode": UpdateMode.REPLACE, "etag": row.etag, "match_condition": MatchConditions.IfNotModified}
            return "update", _entity(row), keep
        case Delete(partition, key, etag):
            entity = {"PartitionKey": partition, "RowKey": key}
            if etag is None:
                return "delete", entity
            return "delete", entity, {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _entity(row: Row) -> dict[str, Any]:
    values = {name: _typed(value) for name, value in row.values.items()}
    return {"PartitionKey": row.partition, "RowKey": row.key, **values}


def _typed(value: Scalar) -> Any:

    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**31:
        return value, EdmType.INT64
    return value


def _row(entity: Any) -> Row:
    values = {
        name: getattr(value, "value", value) if not isinstance(value, datetime) else value
        for name, value in entity.items()
        if name not in {"PartitionKey", "RowKey"}
    }
    return Row(entity["PartitionKey"], entity["RowKey"], values, entity.metadata["etag"])
