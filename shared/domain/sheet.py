"""CSV that a spreadsheet opens without running anything, and that reads back to the same values; pure.

A cell that a spreadsheet could take for a formula is written with an apostrophe before it, and so is one that begins
with an apostrophe; reading takes one apostrophe away. So every text survives the way there and back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# What a spreadsheet takes for a formula, also in its full-width forms, what hides one, and the mark itself
_MARKED = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
_SEPARATORS = ",;\t"


class NotASheet(ValueError):
    """The text is no CSV with a header; the sentence says why, `row` where (the header is row 1)."""

    def __init__(self, sentence: str, row: int) -> None:
        super().__init__(sentence)
        self.row = row


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a sheet by its column names, without empty cells; `row` counts from 1, which is the header."""

    row: int
    cells: Mapping[str, str]


def marked(text: str) -> str:
    """A cell as it is written."""
    return f"'{text}" if text.startswith(_MARKED) else text


def unmarked(text: str) -> str:
    """A cell as it was before it was written."""
    return text.removeprefix("'")


def cell(value: object) -> object:
    """A value as a cell: text is marked where it must be, None is empty, numbers stay numbers."""
    if value is None:
        return ""
    return marked(value) if isinstance(value, str) else value


def written(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV with a header; a column that a row does not have is empty. Lines end with CR LF."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def records(text: str, most: int) -> tuple[list[str], list[Record]]:
    """The column names of a sheet and its rows, without rows that are empty.

    The separator is the first of comma, semicolon and tabulator that the header has: spreadsheets write what their
    language asks for. Raises NotASheet, also for more than `most` rows.
    """
    lines = io.StringIO(text, newline="")
    header = text.split("\n", 1)[0]
    separator = next((mark for mark in _SEPARATORS if mark in header), ",")
    reader = csv.reader(lines, delimiter=separator, strict=True)
    names: list[str] = []
    found: list[Record] = []
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            values = [unmarked(cell).strip() if cell[:1] != "'" else unmarked(cell) for cell in cells]
            if number == 1:
                names = values
                continue
            if len(cells) > len(names):
                raise NotASheet(f"has {len(cells)} cells, but there are {len(names)} columns", number)
            filled = {name: value for name, value in zip(names, values, strict=False) if value}
            if filled:
                found.append(Record(number, filled))
            if len(found) > most:
                raise NotASheet(f"has more than {most} rows; cut it into several", number)
    except csv.Error as error:
        raise NotASheet(f"is no CSV: {error}", number + 1) from None
    if not names or not all(names) or len(set(names)) < len(names):
        raise NotASheet("has no header that names each column once", 1)
    return names, found
