"""Table storage: the fake of the crash tests and the adapter against Azurite do the same."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from shared.storage.azure_tables import AzureTables
from shared.storage.store import Delete, Insert, Replace, Row, Scalar, TableStore, TooLarge, Upsert, WriteConflict
from tests.world.tables import Tables

pytestmark = pytest.mark.anyio
TABLE = "views"


@pytest.fixture(params=["fake", "azure"])
async def store(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[TableStore]:
    if request.param == "fake":
        yield Tables()
        return
    tables = AzureTables(connection_string=request.getfixturevalue("stack").ready["tables"])
    yield tables
    await tables.close()


@pytest.fixture
def partition() -> str:
    """Nobody else writes there."""
    return str(uuid.uuid4())


def row(partition: str, key: str, etag: str | None = None, /, **values: Scalar) -> Row:
    return Row(partition, key, values or {"text": key}, etag)


async def inserted(store: TableStore, *rows: Row) -> list[str | None]:
    return await store.write(TABLE, [Insert(row) for row in rows])


async def read(store: TableStore, partition: str, key: str) -> Row:
    found = await store.get(TABLE, partition, key)
    assert found is not None
    return found


async def test_every_type_of_value_comes_back_as_it_was(store: TableStore, partition: str) -> None:
    values: dict[str, Scalar] = {
        "text": "ä line\nwith {json}",
        "empty": "",
        "small": -7,
        "large": 2**40,
        "yes": True,
        "when": datetime(2026, 3, 10, 9, 0, 0, 250_000, tzinfo=UTC),
    }
    await inserted(store, row(partition, "a", **values))
    found = await read(store, partition, "a")
    assert dict(found.values) == values
    assert isinstance(found.values["yes"], bool)


async def test_a_row_that_is_not_there_reads_as_none(store: TableStore, partition: str) -> None:
    assert await store.get(TABLE, partition, "nothing") is None


async def test_a_write_gives_the_etags_that_reads_show(store: TableStore, partition: str) -> None:
    first, second = await inserted(store, row(partition, "a"), row(partition, "b"))
    assert (await read(store, partition, "a")).etag == first
    assert (await read(store, partition, "b")).etag == second
    (changed,) = await store.write(TABLE, [Upsert(row(partition, "a", text="new"))])
    assert changed not in {None, first}
    assert (await read(store, partition, "a")).etag == changed


async def test_inserting_a_key_twice_conflicts(store: TableStore, partition: str) -> None:
    await inserted(store, row(partition, "a"))
    with pytest.raises(WriteConflict):
        await inserted(store, row(partition, "a", text="other"))
    assert (await read(store, partition, "a")).values == {"text": "a"}


async def test_replacing_takes_the_etag_that_was_read_and_no_older_one(store: TableStore, partition: str) -> None:
    (first,) = await inserted(store, row(partition, "a", text="one", more=1))
    (second,) = await store.write(TABLE, [Replace(row(partition, "a", first, text="two"))])
    assert (await read(store, partition, "a")).values == {"text": "two"}
    with pytest.raises(WriteConflict):
        await store.write(TABLE, [Replace(row(partition, "a", first, text="late"))])
    assert (await read(store, partition, "a")).etag == second


async def test_replacing_what_is_gone_conflicts(store: TableStore, partition: str) -> None:
    (etag,) = await inserted(store, row(partition, "a"))
    await store.write(TABLE, [Delete(partition, "a")])
    with pytest.raises(WriteConflict):
        await store.write(TABLE, [Replace(row(partition, "a", etag))])


async def test_an_upsert_exchanges_the_whole_row(store: TableStore, partition: str) -> None:
    await store.write(TABLE, [Upsert(row(partition, "a", text="one", more=1))])
    await store.write(TABLE, [Upsert(row(partition, "a", text="two"))])
    assert (await read(store, partition, "a")).values == {"text": "two"}


async def test_deleting_a_missing_row_alone_is_no_conflict(store: TableStore, partition: str) -> None:
    assert await store.write(TABLE, [Delete(partition, "nothing")]) == [None]


async def test_deleting_with_an_old_etag_conflicts(store: TableStore, partition: str) -> None:
    (etag,) = await inserted(store, row(partition, "a"))
    await store.write(TABLE, [Upsert(row(partition, "a", text="new"))])
    with pytest.raises(WriteConflict):
        await store.write(TABLE, [Delete(partition, "a", etag)])
    (newest,) = [found.etag for found in await store.span(TABLE, partition, "a", "b")]
    assert await store.write(TABLE, [Delete(partition, "a", newest)]) == [None]
    with pytest.raises(WriteConflict):
        await store.write(TABLE, [Delete(partition, "a", newest)])


async def test_one_conflict_undoes_the_whole_transaction(store: TableStore, partition: str) -> None:
    (etag,) = await inserted(store, row(partition, "a"))
    with pytest.raises(WriteConflict):
        await store.write(
            TABLE,
            [
                Insert(row(partition, "b")),
                Replace(row(partition, "a", etag, text="new")),
                Delete(partition, "nothing"),
            ],
        )
    found = await store.span(TABLE, partition, "", "z")
    assert [(one.key, one.values) for one in found] == [("a", {"text": "a"})]


async def test_a_transaction_of_every_kind_of_write_is_made_as_one(store: TableStore, partition: str) -> None:
    first, second = await inserted(store, row(partition, "a"), row(partition, "b"))
    etags = await store.write(
        TABLE,
        [
            Replace(row(partition, "a", first, text="new")),
            Delete(partition, "b", second),
            Insert(row(partition, "c")),
            Upsert(row(partition, "d")),
        ],
    )
    found = await store.span(TABLE, partition, "", "z")
    assert [one.key for one in found] == ["a", "c", "d"]
    assert [etags[0], etags[2], etags[3]] == [one.etag for one in found]
    assert etags[1] is None


async def test_partitions_follow_each_other_whatever_lies_in_them(store: TableStore, partition: str) -> None:
    first, second = f"{partition}-1", f"{partition}-2"
    await inserted(store, row(first, "a"), row(first, "b"))
    await inserted(store, row(second, "a"))
    assert await store.following(TABLE, partition) == first
    assert await store.following(TABLE, first) == second
    assert await store.following(TABLE, second) != second
    assert await store.following(TABLE, "\uffff") is None


async def test_a_span_is_ascending_and_half_open(store: TableStore, partition: str) -> None:
    await inserted(store, *(row(partition, key) for key in ("b:10", "B:1", "b:9", "a", "c")))
    assert [one.key for one in await store.span(TABLE, partition, "b:", "b;")] == ["b:10", "b:9"]
    assert [one.key for one in await store.span(TABLE, partition, "", "\uffff")] == ["B:1", "a", "b:10", "b:9", "c"]
    assert [one.key for one in await store.span(TABLE, partition, "a", "c")] == ["a", "b:10", "b:9"]
    assert [one.key for one in await store.span(TABLE, partition, "a", "z", limit=2)] == ["a", "b:10"]


async def test_pages_go_through_everything_once(store: TableStore, partition: str) -> None:
    await inserted(store, *(row(partition, f"{number}", even=number % 2 == 0) for number in range(7)))
    keys: list[str] = []
    mark: str | None = None
    while True:
        page = await store.page(TABLE, partition=partition, equals={"even": True}, size=3, continuation=mark)
        assert len(page.rows) <= 3
        keys += [one.key for one in page.rows]
        mark = page.continuation
        if mark is None:
            break
    assert keys == ["0", "2", "4", "6"]


async def test_a_page_goes_across_partitions_where_none_is_named(store: TableStore, partition: str) -> None:
    await inserted(store, row(f"{partition}-1", "a", owner=partition))
    await inserted(store, row(f"{partition}-2", "a", owner=partition))
    page = await store.page(TABLE, partition=None, equals={"owner": partition}, size=10)
    assert [one.partition for one in page.rows] == [f"{partition}-1", f"{partition}-2"]
    assert page.continuation is None


async def test_what_table_storage_would_refuse_is_not_sent(store: TableStore, partition: str) -> None:
    with pytest.raises(TooLarge):
        await inserted(store, *(row(partition, str(number)) for number in range(101)))
    with pytest.raises(TooLarge):
        await inserted(store, row(partition, "a", text="x" * 33_000))
    for key in ("a/b", "a\\b", "a#b", "a?b", "a\tb", "x" * 513):
        with pytest.raises(TooLarge):
            await inserted(store, row(partition, key))
    assert await store.span(TABLE, partition, "", "\uffff") == []
