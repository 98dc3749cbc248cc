"""Names in Bicep files: undefined ones, unused ones, declared twice, and what modules are given and asked for."""

from __future__ import annotations

import re
from pathlib import Path

import tree_sitter

from tests.infra.reader import parse, read, syntax_errors, text, walk

DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "type_declaration": "type",
    "user_defined_function": "func",
}
_FUNCTIONS = """
    any array base64 cidrHost cidrSubnet concat contains deployer deployment empty endsWith environment filter first
    flatten format guid indexOf int intersection items join json last length loadJsonContent loadTextContent
    loadYamlContent map mapValues max min newGuid objectKeys padLeft parseCidr range reduce reference replace
    resourceGroup resourceId skip sort split startsWith string subscription subscriptionResourceId substring take
    tenant tenantResourceId toLower toObject toUpper trim union uniqueString uri utcNow
    allowed batchSize description discriminator maxLength maxValue metadata minLength minValue sealed secure
"""
FUNCTIONS = frozenset(_FUNCTIONS.split())
BUILT_IN = frozenset({"az", "sys", "string", "int", "bool", "object", "array"})


def problems(path: Path) -> list[str]:
    """Everything that is wrong with the names of a file."""
    return syntax_errors(path) or [*_own_names(path), *_modules(path)]


def _own_names(path: Path) -> list[str]:
    root = parse(path)
    declared, found = _declared(path, root)
    local = _local_names(root)
    used: set[str] = set()
    for node in walk(root):
        if node.type != "identifier" or _is_declaration(node) or _is_key(node):
            continue
        name, where = text(node), f"{path.name}:{node.start_point[0] + 1}"
        if _is_called(node):
            if name not in FUNCTIONS and declared.get(name) != "func":
                found.append(f"{where}: unknown function {name}")
        elif name not in declared and name not in local and name not in BUILT_IN:
            found.append(f"{where}: undefined name {name}")
        used.add(name)
    found += [
        f"{path.name}: unused {kind} {name}"
        for name, kind in declared.items()
        if kind in {"param", "var", "type"} and name not in used
    ]
    return found


def _declared(path: Path, root: tree_sitter.Node) -> tuple[dict[str, str], list[str]]:
    declared: dict[str, str] = {}
    found: list[str] = []
    for node in walk(root):
        if node.type in DECLARATIONS:
            name = text(node.named_children[0])
            if name in declared and node.parent == root:
                found.append(f"{path.name}:{node.start_point[0] + 1}: {name} is declared twice")
            declared[name] = DECLARATIONS[node.type]
    return declared, found


def _local_names(root: tree_sitter.Node) -> set[str]:
    """Names that loops and lambdas bind; close enough to treat them as known in the whole file."""
    names: set[str] = set()
    for node in walk(root):
        match node.type:
            case "for_loop_parameters":
                names |= {text(child) for child in node.named_children}
            case "for_statement" if node.named_children[0].type == "identifier":
                names.add(text(node.named_children[0]))
            case "lambda_expression":
                names |= {text(one) for one in walk(node.named_children[0]) if one.type == "identifier"}
                names |= {text(one) for one in node.named_children[:-1] if one.type == "identifier"}
            case _:
                pass
    return names


def _is_declaration(node: tree_sitter.Node) -> bool:
    parent = node.parent
    kinds = {*DECLARATIONS, "output_declaration"}
    return parent is not None and parent.type in kinds and parent.named_children[0] == node


def _is_key(node: tree_sitter.Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "object_property" and parent.named_children[0] == node


def _is_called(node: tree_sitter.Node) -> bool:
    parent = node.parent
    return parent is not None and parent.type == "call_expression" and parent.named_children[0] == node


def _modules(path: Path) -> list[str]:
    file = read(path)
    found: list[str] = []
    source = path.read_text(encoding="utf-8")
    for module in file.modules:
        target = path.parent / module.path
        if not target.is_file():
            found.append(f"{path.name}: module {module.name} uses {module.path}, which is not there")
            continue
        used = read(target)
        required = {name for name, one in used.parameters.items() if one.value is None}
        found += [
            f"{path.name}: module {module.name} has no parameter {name}"
            for name in sorted(module.params.keys() - used.parameters.keys())
        ]
        found += [
            f"{path.name}: module {module.name} is not given {name}" for name in sorted(required - module.params.keys())
        ]
        asked = _outputs_asked(source, module.name)
        found += [
            f"{path.name}: module {module.name} has no output {name}" for name in sorted(asked - used.outputs.keys())
        ]
    return found


def _outputs_asked(source: str, module: str) -> set[str]:
    return set(re.findall(rf"\b{module}!?\.outputs\.(\w+)", source))
