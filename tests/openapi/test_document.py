"""The OpenAPI document is complete, valid, up to date, and says what the doors really read and refuse."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from functions.http_actions import codes
from functions.http_actions.endpoint import HANDLER, Paged
from shared.usecases.badges import BADGES
from tests.openapi.conforming import FILE
from tests.openapi.document import ROOT, as_text, codes_of, declaration_of, document, function_of
from tests.openapi.reading import read_by
from tests.security.inventory import GUARDED, OPEN, ROUTES, Route

# Codes that are no literal where they are raised: each with the place that makes them
MADE = {
    "forbidden": "the default of shared.identity.Forbidden",
    "customer_not_found": "problem_of, of NotFound",
    "subscription_not_found": "problem_of, of NotFound",
    "schedule_not_found": "the same, and a literal",
    "not_in_price_list": "shared.domain.pricing.Unpriced",
    "no_price_rule": "the same",
    "price_incomplete": "the same",
    "bulk_not_found": "functions.http_actions.long_work.find",
    "import_not_found": "the same",
    "reconciliation_not_found": "the same",
    "resubmission_not_found": "the same",
    "unreadable": "shared.usecases.outlook.LineOutlook",
    "company_inactive": "shared.domain.qualifying.Obstacle",
    "company_not_customer": "the same",
    "service_inactive": "the same",
    "service_period_differs": "the same",
    "contract_ended": "the same",
    "contract_inactive": "the same",
    "contract_not_recurring": "the same",
    "contract_period_differs": "the same",
    "contract_starts_later": "the same",
}
# Literals that are no code of an answer: a leg's reason tells of them, or they are turned into another code
INSIDE = {
    "migration_not_found",
    "work_is_open",  # a command's (infra.forget_customer), as the next one
    "not_covered",
    "customer_not_mapped",  # the problem inside a preview of a mapping, as the next two
    "contract_not_chosen",
    "no_contract_qualifies",
}
RAISED = {"Refused": 0, "BadRequest": 0, "NotAllowed": 0, "Problem": 1, "Forbidden": 1}


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_every_route_declares_what_it_answers(route: Route) -> None:
    assert declaration_of(route).by_status


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_a_route_declares_what_it_reads(route: Route) -> None:
    declared, read = declaration_of(route), read_by(getattr(function_of(route), HANDLER))
    query = declared.query
    named = {field.alias or name for name, field in query.model_fields.items()} if query else set()
    paged = {"pageSize", "continuation"} if read.paged else set()

    assert read.bodies == ({declared.body.__name__} if isinstance(declared.body, type) else set())
    assert read.text == isinstance(declared.body, str)
    assert read.keyed == declared.keyed
    assert read.paged == (query is not None and issubclass(query, Paged))
    if read.queries:
        assert query is not None
        assert read.queries == {query.__name__}
    else:
        assert named == read.parameters | paged


def test_the_committed_document_is_what_the_code_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == as_text(), "run python -m tests.documents"


def test_the_document_is_valid_openapi() -> None:
    from openapi_spec_validator import validate  # noqa: PLC0415 - compiles a grammar for seconds, in every test worker

    validate(json.loads(FILE.read_text(encoding="utf-8")))


def test_every_operation_has_a_name_and_a_summary_of_its_own() -> None:
    operations = [operation for path in document()["paths"].values() for operation in path.values()]

    assert len({operation["operationId"] for operation in operations}) == len(operations) == len(ROUTES)
    assert all(operation["summary"].endswith((".", "?")) or ":" in operation["summary"] for operation in operations)


def test_only_the_open_routes_need_no_token() -> None:
    open_ones = {
        operation["operationId"]
        for path in document()["paths"].values()
        for operation in path.values()
        if "x-required-role" not in operation
    }

    assert open_ones == set(OPEN)


def test_every_code_that_is_raised_is_in_the_list_with_its_status() -> None:
    raised = _raised()

    assert set(raised) - INSIDE - set(codes.STATUSES) == set()
    wrong = {code: statuses for code, statuses in raised.items() if not statuses <= set(codes.STATUSES.get(code, ()))}
    assert wrong == {}


def test_every_code_of_the_list_is_raised_somewhere_and_answered_by_some_route() -> None:
    answered = {code for route in ROUTES for code in codes_of(route, declaration_of(route))}

    assert set(codes.STATUSES) - set(_raised()) - set(MADE) == set()
    assert set(codes.STATUSES) - answered == set()


def test_badges_of_the_document_are_those_of_the_code() -> None:
    found = document()["components"]["schemas"]["Subscription"]["properties"]["badge"]["enum"]

    assert tuple(found) == BADGES


def _raised() -> dict[str, set[int]]:
    """The codes that are literals where an error is made, with the statuses that are literals too."""
    found: dict[str, set[int]] = {}
    for folder in ("functions", "shared"):
        for path in Path(ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(id=name)) if name in RAISED and len(node.args) > RAISED[name]:
                        code = node.args[RAISED[name]]
                        if isinstance(code, ast.Constant):
                            found.setdefault(str(code.value), set()).update(_statuses(node))
    return found


def _statuses(node: ast.Call) -> set[int]:
    given = [keyword.value for keyword in node.keywords if keyword.arg == "status"]
    if isinstance(node.func, ast.Name) and node.func.id == "Problem":
        given = node.args[:1]
    return {value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, int)}
