"""Rows as CSV that a spreadsheet opens without running anything; pure.

A cell that begins with what a spreadsheet takes for a formula, or with what hides one, gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Full-width forms too, which some spreadsheets take for the plain ones
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A heading of these names and a line a row; a name that a row lacks is an empty cell. Lines end with CR LF."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([safe_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def safe_cell(value: object) -> object:
    """A value as a cell: text that a spreadsheet could run is quoted, None is empty, numbers stay numbers."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
