"""Reads Bicep files into plain values: parameters, variables, resources, modules and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tree_sitter
import tree_sitter_bicep

INFRA = Path(__file__).resolve().parents[2] / "infra"
_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))


class Expression(str):
    """A value that only a deployment knows; the text is the Bicep for it."""

    __slots__ = ()


@dataclass(frozen=True)
class Parameter:
    """A parameter or output: its type, default (None: required) or value, and decorators by name."""

    type: str
    value: Any
    decorators: dict[str, Any]

    @property
    def description(self) -> str:
        """What `@description` says."""
        return str(self.decorators.get("description", ""))


@dataclass(frozen=True)
class Resource:
    """A resource; `condition` and `loop` are the Bicep text of either, and empty without."""

    name: str
    type: str
    version: str
    existing: bool
    condition: str
    loop: str
    body: dict[str, Any]
    where: str

    @property
    def properties(self) -> dict[str, Any]:
        """The resource's own properties."""
        found: dict[str, Any] = self.body.get("properties", {})
        return found


@dataclass(frozen=True)
class Module:
    """A use of another file."""

    name: str
    path: str
    condition: str
    body: dict[str, Any]

    @property
    def params(self) -> dict[str, Any]:
        """What it is given."""
        found: dict[str, Any] = self.body.get("params", {})
        return found


@dataclass
class BicepFile:
    """One file."""

    path: Path
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)
    outputs: dict[str, Parameter] = field(default_factory=dict)


def files(folder: Path = INFRA) -> list[Path]:
    """Every Bicep file of a folder."""
    return sorted(folder.rglob("*.bicep"))


def parse(path: Path) -> tree_sitter.Node:
    """The syntax tree of a file."""
    return _PARSER.parse(path.read_bytes()).root_node


def walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """A node and everything below it, in the order of the text."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: tree_sitter.Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def syntax_errors(path: Path) -> list[str]:
    """What cannot be parsed."""
    return [
        f"{path.name}:{node.start_point[0] + 1}: syntax error near {text(node)[:40]!r}"
        for node in walk(parse(path))
        if node.type == "ERROR" or node.is_missing
    ]


def read(path: Path) -> BicepFile:
    """A file's declarations."""
    found = BicepFile(path)
    decorators: dict[str, Any] = {}
    for node in parse(path).named_children:
        if node.type == "decorators":
            decorators = dict(_decorator(one) for one in node.named_children)
            continue
        _declaration(found, node, decorators)
        decorators = {}
    return found


def _decorator(node: tree_sitter.Node) -> tuple[str, Any]:
    call = node.named_children[0]
    arguments = next((one for one in call.named_children if one.type == "arguments"), None)
    given = [value(one) for one in arguments.named_children] if arguments else []
    return text(call.named_children[0]).removeprefix("sys."), given[0] if given else True


def _declaration(found: BicepFile, node: tree_sitter.Node, decorators: dict[str, Any]) -> None:
    match node.type:
        case "parameter_declaration" | "output_declaration":
            kept = found.parameters if node.type.startswith("parameter") else found.outputs
            children = [one for one in node.named_children if one.type != "comment"]
            default = value(children[2]) if len(children) > 2 else None
            kept[text(children[0])] = Parameter(text(children[1]), default, decorators)
        case "variable_declaration":
            found.variables[text(node.named_children[0])] = value(node.named_children[1])
        case "resource_declaration":
            found.resources += _resources(found.path, node, "", "")
        case "module_declaration":
            condition, _, body = _parts(node)
            path = str(value(node.named_children[1]))
            found.modules.append(Module(text(node.named_children[0]), path, condition, body))
        case _:
            return


def _resources(path: Path, node: tree_sitter.Node, parent: str, version: str) -> Iterator[Resource]:
    kind, _, own = str(value(node.named_children[1])).partition("@")
    kind, version = (f"{parent}/{kind}" if parent else kind), own or version
    condition, loop, body = _parts(node)
    existing = any(child.type == "existing" or text(child) == "existing" for child in node.children)
    where = f"{path.name}:{node.start_point[0] + 1}"
    yield Resource(text(node.named_children[0]), kind, version, existing, condition, loop, body, where)
    for inner in walk(node):
        if inner.type == "resource_declaration" and inner != node and _owner(inner) == node:
            yield from _resources(path, inner, kind, version)


def _owner(node: tree_sitter.Node) -> tree_sitter.Node | None:
    """The resource that a nested one stands in."""
    above = node.parent
    while above is not None and above.type != "resource_declaration":
        above = above.parent
    return above


def _parts(node: tree_sitter.Node) -> tuple[str, str, dict[str, Any]]:
    """Condition, loop and body of a resource or module."""
    condition = loop = ""
    body = node.named_children[-1]
    while body.type != "object":
        if body.type == "if_statement":
            condition = text(body.named_children[0])
        elif body.type == "for_statement":
            loop = text(body).partition(":")[0]
        body = body.named_children[-1]
    found: dict[str, Any] = value(body)
    return condition, loop, found


def value(node: tree_sitter.Node) -> Any:  # noqa: PLR0911 - one return per kind of literal
    """A literal as a plain value; anything else as an Expression."""
    match node.type:
        case "string" if not any(child.type == "interpolation" for child in node.children):
            return "".join(_unescaped(child) for child in node.named_children)
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "null":
            return None
        case "array":
            return [value(child) for child in node.named_children if child.type != "comment"]
        case "object":
            pairs = (child for child in node.named_children if child.type == "object_property")
            return dict(_pair(child) for child in pairs if child.named_children[0].type != "resource_declaration")
        case _:
            return Expression(text(node))


def _pair(node: tree_sitter.Node) -> tuple[str, Any]:
    children = [child for child in node.named_children if child.type != "comment"]
    key = children[0]
    return (text(key) if key.type == "identifier" else str(value(key))), value(children[-1])


def _unescaped(node: tree_sitter.Node) -> str:
    return text(node)[1:] if node.type == "escape_sequence" else text(node)
