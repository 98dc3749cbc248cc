"""The workbook asks for what is told: metrics by their names, hops and events by theirs."""

from __future__ import annotations

import json
import re
from typing import Any

from shared.metrics import METRICS
from tests.infra.reader import INFRA, read

WORKBOOK = INFRA / "workbooks" / "operations.json"
TABLES = {"AppMetrics", "AppRequests", "AppDependencies", "AppTraces", "AppExceptions"}
SOURCES = [INFRA.parent / folder for folder in ("functions", "shared")]


def queries() -> dict[str, str]:
    items: list[dict[str, Any]] = json.loads(WORKBOOK.read_text(encoding="utf-8"))["items"]
    return {item["name"]: item["content"]["query"] for item in items if item["type"] == 3}


def test_every_metric_has_its_chart_and_no_chart_asks_for_another() -> None:
    asked = {name for query in queries().values() for name in re.findall(r'Name == "([^"]+)"', query)}

    assert asked == {metric.name for metric in METRICS}


def test_a_chart_tells_values_apart_by_attributes_that_the_metric_has() -> None:
    attributes = {metric.name: set(metric.attributes) for metric in METRICS}
    for query in queries().values():
        found = re.search(r'Name == "([^"]+)"', query)
        if found:
            asked = set(re.findall(r"Properties\.(\w+)", query)) | set(re.findall(r'Properties\["([^"]+)"\]', query))
            assert asked <= attributes[found[1]], query


def test_every_event_that_is_asked_for_is_told_somewhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for folder in SOURCES for path in folder.rglob("*.py"))
    asked = re.findall(r"Event in \(([^)]+)\)", "".join(queries().values()))
    events = [event for group in asked for event in re.findall(r'"(\w+)"', group)]

    assert events
    assert [event for event in events if f'"{event}"' not in text] == []


def test_queries_ask_the_tables_of_the_workspace() -> None:
    for query in queries().values():
        assert set(re.findall(r"\bApp[A-Z]\w+\b", query)) - {"AppRoleInstance"} <= TABLES, query


def test_the_deployment_makes_the_workbook() -> None:
    (workbook,) = [
        resource
        for resource in read(INFRA / "modules" / "monitoring.bicep").resources
        if resource.type == "Microsoft.Insights/workbooks"
    ]

    assert "workbooks/operations.json" in str(workbook.properties["serializedData"])
    names = [item["name"] for item in json.loads(WORKBOOK.read_text(encoding="utf-8"))["items"]]
    assert len(names) == len(set(names))
