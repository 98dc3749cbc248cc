"""What is measured is written down, and every alert of the list exists."""

from __future__ import annotations

import re

from shared.metrics import METRICS
from tests.infra.reader import INFRA, read

TEXT = (INFRA.parent / "docs" / "observability.md").read_text(encoding="utf-8")


def rows(section: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    part = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_the_table_of_metrics_is_what_the_code_names() -> None:
    written = [
        [
            f"`{metric.name}`",
            metric.kind,
            metric.unit,
            ", ".join(f"`{one}`" for one in metric.attributes),
            metric.meaning,
        ]
        for metric in METRICS
    ]

    assert rows("Metrics") == written


def test_the_table_of_alerts_is_what_the_infrastructure_makes() -> None:
    rules = read(INFRA / "modules" / "alerts.bicep").variables["rules"]

    assert [(row[0], row[2]) for row in rows("Alerts")] == [(rule["title"], str(rule["severity"])) for rule in rules]
    for row, rule in zip(rows("Alerts"), rules, strict=True):
        assert set(re.findall(r'"(csp[^"]+)"', rule["query"])) <= set(re.findall(r"`(csp[^`]+)`", row[1])), row
