"""What a door reads of a request, found in its source: bodies, query parameters, pages and the idempotency key.

A door's own functions and those that it takes from other doors' modules are followed, since `perform` reads the key and
`_question` the filters.
"""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

_DOORS = "functions.http_actions"
_NOT_DOORS = {f"{_DOORS}.endpoint", f"{_DOORS}.problems", f"{_DOORS}.representations"}


@dataclass
class Read:
    """The names of the models that are read, and of the single parameters."""

    bodies: set[str] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    text: bool = False
    paged: bool = False
    keyed: bool = False


def read_by(handler: Any) -> Read:
    """What a handler reads."""
    found = Read()
    module = sys.modules[handler.__module__]
    _follow(module, handler.__name__, found, set())
    return found


def _follow(module: ModuleType, name: str, found: Read, seen: set[tuple[str, str]]) -> None:
    if (module.__name__, name) in seen or name not in _functions(module):
        return
    seen.add((module.__name__, name))
    for node in ast.walk(_functions(module)[name]):
        if isinstance(node, ast.Call):
            _note(node, found)
        if isinstance(node, ast.Name):
            target = getattr(module, node.id, None)
            home = sys.modules.get(getattr(target, "__module__", "") or "")
            if home and inspect.isfunction(target) and _is_door(home.__name__):
                _follow(home, target.__name__, found, seen)


def _is_door(module: str) -> bool:
    return module.startswith(_DOORS) and module not in _NOT_DOORS


def _note(call: ast.Call, found: Read) -> None:
    match call:
        case ast.Call(func=ast.Attribute(attr="body"), args=[ast.Name(id=model)]):
            found.bodies.add(model)
        case ast.Call(func=ast.Attribute(attr="get_body")):
            found.text = True
        case ast.Call(func=ast.Attribute(attr="query"), args=[ast.Name(id=model)]):
            found.queries.add(model)
        case ast.Call(func=ast.Attribute(attr="page")):
            found.paged = True
        case ast.Call(func=ast.Attribute(attr="idempotency_key")):
            found.keyed = True
        case ast.Call(func=ast.Attribute(attr="choice" | "number"), args=[ast.Constant(value=str(name)), *_]):
            found.parameters.add(name)
        case ast.Call(
            func=ast.Attribute(attr="get", value=ast.Attribute(attr="params")), args=[ast.Constant(value=str(name)), *_]
        ):
            found.parameters.add(name)


@cache
def _functions(module: ModuleType) -> dict[str, ast.AST]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
