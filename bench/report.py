"""What was measured: a table for people, the same as JSON for programs, and whether every budget holds.

A part of the benchmark yields `Case`s. A `Measure` with a limit is a budget; one without is told for information.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """One number with its unit; `limit` is the largest value that the budget allows, None where there is no budget."""

    value: float
    unit: str = ""
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the budget is kept."""
        return self.limit is None or self.value <= self.limit

    def __str__(self) -> str:
        text = f"{self.value:,.0f}" if float(self.value).is_integer() else f"{self.value:,.3g}"
        text = f"{text} {self.unit}".rstrip()
        if self.limit is None:
            return text
        return f"{text} ({'≤' if self.holds else 'NOT ≤'} {self.limit:,g})"


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a part's table: what was done, and what it took."""

    part: str
    name: str
    measures: dict[str, Measure] = field(default_factory=dict)
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether all budgets are kept."""
        return all(measure.holds for measure in self.measures.values())


def table(cases: Sequence[Case]) -> str:
    """The cases of one part as a table whose columns are the measures in the order in which they first appear."""
    columns = list(dict.fromkeys(name for case in cases for name in case.measures))
    rows = [["case", *columns, "note"]]
    for case in cases:
        cells = [str(case.measures[name]) if name in case.measures else "" for name in columns]
        rows.append([case.name, *cells, case.note])
    if not any(case.note for case in cases):
        rows = [row[:-1] for row in rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def document(cases: Iterable[Case]) -> dict[str, Any]:
    """Everything as JSON: `holds` over all, the machine, and the cases by part."""
    parts: dict[str, list[dict[str, Any]]] = {}
    whole = True
    for case in cases:
        whole = whole and case.holds
        measures = {
            name: {"value": item.value, "unit": item.unit, "limit": item.limit, "holds": item.holds}
            for name, item in case.measures.items()
        }
        shown = {"case": case.name, "holds": case.holds, "measures": measures, "note": case.note}
        parts.setdefault(case.part, []).append(shown)
    return {"holds": whole, "machine": machine(), "parts": parts}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {"python": platform.python_version(), "system": platform.platform(), "cpus": os.cpu_count()}


def write(cases: Iterable[Case], path: Path) -> None:
    """Write the JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(cases), indent=2) + "\n", encoding="utf-8")
