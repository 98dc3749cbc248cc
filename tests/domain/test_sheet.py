"""CSV that no spreadsheet runs, and that reads back as it was written."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.sheet import NotASheet, cell, marked, records, unmarked, written

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@given(TEXT)
def test_a_cell_is_never_a_formula_and_reads_back_as_it_was(text: str) -> None:
    found = marked(text)
    assert not found.startswith(DANGEROUS)
    assert unmarked(found) == text


@given(st.lists(st.lists(TEXT.filter(lambda text: text == text.strip() and text), min_size=2, max_size=2), max_size=5))
def test_a_sheet_reads_back_as_it_was_written(values: list[list[str]]) -> None:
    rows = [{"first": first, "second": second} for first, second in values]
    names, found = records(written(("first", "second"), rows), most=10)
    assert names == ["first", "second"]
    assert [dict(record.cells) for record in found] == rows


@pytest.mark.parametrize("start", DANGEROUS)
def test_what_a_spreadsheet_sees_of_an_attack_is_text(start: str) -> None:
    attack = f'{start}HYPERLINK("http://x.example";"a")'
    text = written(("name",), [{"name": attack}])
    (_, (shown,)) = csv.reader(io.StringIO(text, newline=""))
    assert shown == f"'{attack}"
    (record,) = records(text, most=1)[1]
    assert record.cells["name"] == attack


def test_an_apostrophe_survives_too() -> None:
    text = written(("name",), [{"name": "'s-Hertogenbosch"}, {"name": "'=1"}])
    assert [record.cells["name"] for record in records(text, most=5)[1]] == ["'s-Hertogenbosch", "'=1"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separators_of_all_spreadsheets_are_read_and_empty_rows_left_out(separator: str) -> None:
    text = f"kind{separator}companyId\r\n\r\ncustomer{separator} 7 \r\n{separator}\r\ncustomer\r\n"
    assert [(record.row, dict(record.cells)) for record in records(text, most=5)[1]] == [
        (3, {"kind": "customer", "companyId": "7"}),
        (5, {"kind": "customer"}),
    ]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("", 1),
        ("a,a\n1,2\n", 1),
        ("a,\n1,2\n", 1),
        ("a,b\n1,2,3\n", 2),
        ('a,b\n1,"2\n', 2),
        ("a\n1\n2\n3\n4\n", 5),
    ],
)
def test_what_is_no_sheet_says_in_which_row(text: str, row: int) -> None:
    with pytest.raises(NotASheet) as caught:
        records(text, most=3)
    assert caught.value.row == row


@pytest.mark.parametrize("value", [5, -5, True, date(2026, 8, 1)])
def test_a_cell_that_is_no_text_stays_as_it_is(value: object) -> None:
    assert cell(value) == value


def test_a_cell_without_a_value_is_empty() -> None:
    assert written(("name", "units"), [{"name": None}]) == "name,units\r\n,\r\n"
