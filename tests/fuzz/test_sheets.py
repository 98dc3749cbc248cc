"""Whatever somebody imports as a sheet, it is rows or says what is wrong in which row, and nothing else comes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.mapping_sheet import COLUMNS, rows_of, wrong_columns
from shared.domain.sheet import NotASheet, Record, records, written
from tests.fuzz.strange import TEXT, examples

_MOST = 50
_KINDS = st.sampled_from(["customer", "product", "subscription", "", "=kind"])
_CELLS = st.one_of(TEXT.map(lambda text: text.encode("utf-8", "replace").decode()), _KINDS)
_ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), _CELLS, max_size=len(COLUMNS)), max_size=8)


@given(st.text(max_size=400))
@examples(200)
def test_any_text_is_a_sheet_or_says_why_not(text: str) -> None:
    found = _read(text)
    if isinstance(found, NotASheet):
        assert found.row >= 1
    else:
        names, rows = found
        assert all(set(row.cells) <= set(names) for row in rows)
        wrong_columns(names)


def _read(text: str) -> tuple[list[str], list[Record]] | NotASheet:
    try:
        return records(text, _MOST)
    except NotASheet as error:
        return error


@given(_ROWS, _KINDS)
@examples(200)
def test_any_cells_are_rows_or_are_named_with_their_row(rows: list[dict[str, str]], kind: str) -> None:
    sheet = written(COLUMNS, [{"kind": kind, **row} for row in rows])
    _, found = records(sheet, _MOST)

    good, wrong = rows_of(found)

    assert {one.row for one in wrong} <= {record.row for record in found}
    assert len(good) + len({one.row for one in wrong}) >= len(found)
