"""Route templates of HTTP triggers: `{x}`, `{x:int}`, `{x?}`, `{*rest}`, matched as ASP.NET Core does.

`http_server` asks a `RouteTable` for each request. Segments compare without regard to case; the more specific
template wins segment by segment: literal, then constrained parameter, then parameter, then catch-all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from local.functions_host.bindings import HttpTrigger, IndexedFunction, IndexingError

if TYPE_CHECKING:
    from collections.abc import Iterable

_PARAMETER = re.compile(r"\{(?P<star>\*{0,2})(?P<name>\w+)(?::(?P<constraint>[^}?]+))?(?P<optional>\??)\}")
_CONSTRAINTS = {
    "int": r"-?\d{1,10}",
    "long": r"-?\d{1,19}",
    "guid": r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    "bool": "(?:true|false)",
    "alpha": "[A-Za-z]+",
}
_LITERAL, _CONSTRAINED, _PLAIN, _CATCH_ALL = range(1, 5)


@dataclass(frozen=True)
class Match:
    """The function that answers a request, and the decoded values of its route parameters."""

    function: IndexedFunction
    parameters: dict[str, str]


@dataclass(frozen=True)
class Refusal:
    """No function answers: the path is unknown (`allowed` empty, 404) or only known with other methods (405)."""

    allowed: tuple[str, ...]


@dataclass(frozen=True)
class _Route:
    pattern: re.Pattern[str]
    precedence: tuple[int, ...]
    methods: tuple[str, ...]
    function: IndexedFunction


class RouteTable:
    """All HTTP triggers of an app below its route prefix."""

    def __init__(self, prefix: str, functions: Iterable[IndexedFunction]) -> None:
        routes = [
            _compile(prefix, function.trigger, function)
            for function in functions
            if isinstance(function.trigger, HttpTrigger)
        ]
        self._routes = sorted(routes, key=lambda route: route.precedence)

    def find(self, method: str, raw_path: str) -> Match | Refusal:
        """Find the function for a method and a still percent-encoded path (an encoded slash is no separator)."""
        allowed: set[str] = set()
        for route in self._routes:
            found = route.pattern.fullmatch(raw_path)
            if found is None:
                continue
            if not route.methods or method in route.methods:
                values = {name: unquote(value) for name, value in found.groupdict().items() if value}
                return Match(route.function, values)
            allowed.update(route.methods)
        return Refusal(tuple(sorted(allowed)))


def _compile(prefix: str, trigger: HttpTrigger, function: IndexedFunction) -> _Route:
    segments = [segment for segment in f"{prefix}/{trigger.route}".split("/") if segment]
    expression, precedence = "", []
    for segment in segments:
        part, rank = _segment(segment, function.name)
        expression += part
        precedence.append(rank)
    return _Route(re.compile(expression + "/?", re.IGNORECASE), tuple(precedence), trigger.methods, function)


def _segment(segment: str, function: str) -> tuple[str, int]:
    whole = _PARAMETER.fullmatch(segment)
    if whole is None:
        return "/" + _mixed(segment, function), _CONSTRAINED if "{" in segment else _LITERAL
    group = f"(?P<{whole['name']}>{_value(whole, function)})"
    if whole["star"]:
        return f"(?:/{group})?", _CATCH_ALL
    rank = _CONSTRAINED if whole["constraint"] else _PLAIN
    return (f"(?:/{group})?" if whole["optional"] else f"/{group}"), rank


def _mixed(segment: str, function: str) -> str:
    """A segment with text around its parameters, such as `{id}.json`, or no parameter at all."""
    expression, end = "", 0
    for parameter in _PARAMETER.finditer(segment):
        expression += re.escape(segment[end : parameter.start()])
        expression += f"(?P<{parameter['name']}>{_value(parameter, function)})"
        end = parameter.end()
    rest = segment[end:]
    if "{" in rest or "}" in rest:
        raise IndexingError(f"function {function}: route segment {segment!r} cannot be read")
    return expression + re.escape(rest)


def _value(parameter: re.Match[str], function: str) -> str:
    if parameter["star"]:
        return ".*"
    constraint = parameter["constraint"]
    if constraint is None:
        return "[^/]+"
    if constraint not in _CONSTRAINTS:
        raise IndexingError(f"function {function}: route constraint {constraint!r} is not supported")
    return _CONSTRAINTS[constraint]
