"""What a person sees: tables on standard output, progress on standard error where that is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ops.api import Document


class Bar:
    """Long work as it goes on; `total` None while nobody knows how much it is."""

    def __init__(self, progress: Progress, title: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total)

    def at(self, done: int) -> None:
        """So much is done."""
        self._progress.update(self._task, completed=done)


class Screen:
    """Prints what commands find: for a person, or as JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(soft_wrap=True)
        self._progress = Console(stderr=True)

    def document(self, document: Any) -> None:
        """JSON on standard output."""
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")

    def line(self, text: str) -> None:
        """A sentence for a person; nothing of it is read as markup."""
        if not self.as_json:
            self._out.print(Text(text))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Rows for a person; what comes from a vendor is text and never markup."""
        if self.as_json:
            return
        table = Table(title=Text(title), title_justify="left", show_lines=False, highlight=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        self._out.print(table)

    @contextmanager
    def bar(self, title: str, total: int | None = None) -> Iterator[Bar]:
        """A bar while long work goes on."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        disabled = self.as_json or not self._progress.is_terminal
        with Progress(*columns, console=self._progress, transient=True, disable=disabled) as progress:
            yield Bar(progress, title, total)


def plan_rows(lines: Sequence[Document]) -> list[list[object]]:
    """The adjustments and money of plans, a row each."""
    rows: list[list[object]] = []
    for line in lines:
        where = line["contractServiceId"]
        if "problem" in line:
            rows.append([where, "", "", "", line["problem"]["sentence"]])
            continue
        for plan in line["plans"]:
            decision = plan["driftPolicy"] or "any"
            money = "; ".join(_money(change) for change in plan["changes"])
            if not plan["adjustments"]:
                rows.append([where, decision, "", "nothing is sent", plan.get("blocked", "")])
            for adjustment in plan["adjustments"]:
                rows.append([where, decision, adjustment["date"], f"{adjustment['unitChange']:+d}", money])
                money = ""
    return rows


def _money(change: Document) -> str:
    until = change["end"] or "the end"
    span = f"{change['start']} to {until}: {change['unitsBefore']} → {change['unitsAfter']} units"
    if "money" not in change:
        return span
    return f"{span}, {change['money']}{' a period' if change.get('perPeriod') else ''}"
