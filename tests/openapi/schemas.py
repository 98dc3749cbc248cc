"""JSON schemas of what the doors take and answer, from their types.

Answers are TypedDicts and dataclasses as `camel(plain(...))` writes them: every member of a dataclass is there, by its
name in camelCase. No answer has a member that its type does not name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

REFERENCE = "#/components/schemas/{model}"
_PAGE = re.compile(r"\bPage_(\w+?)_(?=\")")
_LONG = re.compile(r"\b(?:[a-z_]+__)+([a-z_]+)__(?=[A-Z])")  # two types of one name are told apart by their modules
_MEMBER = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


class Schemas(GenerateJsonSchema):
    """Schemas without titles and defaults of answers: a title would only repeat the name."""

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        """Nothing but the members that it names."""
        found = super().typed_dict_schema(schema)
        return {**found, "additionalProperties": False}

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Every member, in camelCase."""
        found = super().dataclass_schema(schema)
        members = {to_camel(name): _without_default(value) for name, value in found.get("properties", {}).items()}
        return {**found, "properties": members, "required": list(members), "additionalProperties": False}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Money is answered as text, and taken as a number too; more than four digits after the point are refused."""
        if self.mode == "serialization":
            return {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
        number: JsonSchemaValue = {"type": "number", "multipleOf": 0.0001}
        bounds = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
        number |= {word: float(schema[bound]) for bound, word in bounds.items() if bound in schema}  # type: ignore[literal-required]  # bounds of pydantic's schema
        above = r"(?!0+(\.0+)?$)" if schema.get("gt") == 0 else ""
        sign = "" if schema.get("ge", schema.get("gt")) == 0 else "-?"
        digits = len(str(int(schema.get("le", 10**6)))) - 1
        text = f"^{above}{sign}[0-9]{{1,{digits}}}(\\.[0-9]{{1,4}})?$"
        return {"anyOf": [number, {"type": "string", "pattern": text}]}


def schemas_of(taken: Iterable[Any], answered: Iterable[Any]) -> tuple[dict[Any, JsonSchemaValue], dict[str, Any]]:
    """The schema (mostly a reference) of each type, and what they refer to by its name."""
    wanted: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        *((kind, "validation", TypeAdapter(kind)) for kind in taken),
        *((kind, "serialization", TypeAdapter(kind)) for kind in answered),
    ]
    found, definitions = TypeAdapter.json_schemas(
        wanted, by_alias=True, ref_template=REFERENCE, schema_generator=Schemas
    )
    components = {name: _untitled(schema) for name, schema in definitions.get("$defs", {}).items()}
    for schema in components.values():
        _name_members(schema)
    return {kind: _renamed(_untitled(schema)) for (kind, _), schema in found.items()}, dict(
        sorted(_renamed(components).items())
    )


def _renamed(document: Any) -> Any:
    """A page is called after what it lists, and a type whose name is not its own after its module too."""
    text = _LONG.sub(lambda found: found[1].title().replace("_", ""), json.dumps(document))
    return json.loads(_PAGE.sub(r"\1Page", text))


def _name_members(schema: dict[str, Any]) -> None:
    """Members in a description by their names on the wire."""
    members = schema.get("properties", {})
    text = schema.get("description")
    if isinstance(text, str):
        names = {name: to_camel(name) for name in _MEMBER.findall(text) if to_camel(name) in members}
        text = _MEMBER.sub(lambda found: f"`{names.get(found[1], found[1])}`", text)
        schema["description"] = " ".join(text.split())


def _without_default(schema: Any) -> Any:
    return {name: value for name, value in schema.items() if name != "default"} if isinstance(schema, dict) else schema


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names; a member that is called `title` stays."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return cast(
        "dict[str, Any]",
        {
            name: {key: _untitled(value) for key, value in item.items()} if name == "properties" else _untitled(item)
            for name, item in schema.items()
            if not (name == "title" and isinstance(item, str))
        },
    )
