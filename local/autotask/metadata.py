"""entityInformation: what the API tells about an entity, its fields and its user-defined fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.autotask.entities import Entity, Field


def information(entity: Entity) -> dict[str, Any]:
    """Return what can be done with an entity."""
    writes = entity.root_writes | entity.child_writes
    can_create, can_update = "POST" in writes, "PATCH" in writes
    return {
        "info": {
            "name": entity.singular,
            "canCreate": can_create,
            "canDelete": False,
            "canQuery": entity.queryable,
            "canUpdate": can_update,
            "userAccessForCreate": "All" if can_create else "None",
            "userAccessForDelete": "None",
            "userAccessForQuery": "All" if entity.queryable else "None",
            "userAccessForUpdate": "All" if can_update else "None",
            "hasUserDefinedFields": entity.has_udfs,
            "supportsWebhookCallouts": entity.name in ("Companies", "Tickets", "TicketNotes"),
        }
    }


def fields(entity: Entity) -> dict[str, Any]:
    """Return the fields of an entity; create-only ones say read-only, as the real API does."""
    return {"fields": [_field(entity, field) for field in entity.fields.values()]}


def user_defined_fields(entity: Entity) -> dict[str, Any]:
    """Return the user-defined fields that the seed uses."""
    names = {"Companies": ["Microsoft Tenant ID"], "Contracts": ["Subscription ID"]}.get(entity.name, [])
    return {"fields": [{"name": name, "label": name, "type": 1, "isRequired": False} for name in names]}


def _field(entity: Entity, field: Field) -> dict[str, Any]:
    choices = entity.picklists.get(field.name)
    return {
        "name": field.name,
        "dataType": field.type,
        "length": 0,
        "isRequired": field.required,
        "isReadOnly": not field.updatable,
        "isQueryable": entity.queryable and field.queryable,
        "isReference": field.name.endswith("ID"),
        "referenceEntityType": field.name[:-2].capitalize() if field.name.endswith("ID") else "",
        "isPickList": choices is not None,
        "picklistValues": None
        if choices is None
        else [
            {
                "value": str(value),
                "label": label,
                "isDefaultValue": False,
                "sortOrder": order,
                "parentValue": "",
                "isActive": True,
                "isSystem": True,
            }
            for order, (value, label) in enumerate(choices.items(), 1)
        ],
        "picklistParentValueField": "",
        "isSupportedWebhookField": False,
    }


# by what follows `entityInformation` in the path
DESCRIPTIONS: dict[str, Callable[[Entity], dict[str, Any]]] = {
    "": information,
    "fields": fields,
    "userdefinedfields": user_defined_fields,
}
