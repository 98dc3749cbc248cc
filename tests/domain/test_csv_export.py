"""A spreadsheet that opens an export runs nothing of it."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from shared.csv_export import csv_text, safe_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"])
def test_text_that_a_spreadsheet_could_run_is_quoted(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=b", "", 5, -5, True, date(2026, 8, 1)])
def test_everything_else_stays_as_it_is(value: object) -> None:
    assert safe_cell(value) == value


def test_an_export_reads_back_as_it_was_written() -> None:
    rows: list[dict[str, object]] = [{"name": 'a "b", c\nd', "units": 3, "more": None}, {"name": "=x"}]
    text = csv_text(("name", "units", "more"), rows)
    assert text.startswith("name,units,more\r\n")
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[1:] == [['a "b", c\nd', "3", ""], ["'=x", "", ""]]
