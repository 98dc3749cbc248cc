"""Typed reading of the JSON objects in requests; property names match in any case.

Used by the endpoints of upgrades and migrations and by the scheduled instructions; a PATCH, where omission matters, is
read by `fields`.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.partner_center.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Given:
    """A JSON object of a request with typed access; a value of the wrong type is 400/3000."""

    def __init__(self, body: object) -> None:
        if not isinstance(body, dict):
            raise ApiError(400, 800002, "The request input is invalid: an object is expected.")
        self._values = {str(name).lower(): value for name, value in body.items()}

    def text(self, name: str) -> str | None:
        """A text; None where it is absent or empty."""
        return self._typed(name, str) or None

    def count(self, name: str) -> int | None:
        """An integer."""
        found: int | None = self._typed(name, int)
        return found

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        found: bool | None = self._typed(name, bool)
        return found

    def part(self, name: str) -> Given | None:
        """An object inside."""
        found = self._typed(name, dict)
        return None if found is None else Given(found)

    def parts(self, name: str) -> list[Given]:
        """A list of objects; absent is empty."""
        return [Given(one) for one in self._typed(name, list) or []]

    def raw(self, name: str) -> Any:
        """The value whatever its type."""
        return self._values.get(name.lower())

    def guid(self, name: str) -> str | None:
        """A GUID."""
        found = self.text(name)
        if found is not None and not is_guid(found):
            raise invalid(name)
        return found

    def moment(self, name: str) -> datetime | None:
        """A moment; without a zone it is UTC."""
        found = self.text(name)
        return None if found is None else read_moment(name, found)

    def _typed(self, name: str, kind: type) -> Any:
        value = self._values.get(name.lower())
        # Python's bool is an int, JSON's is not
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise invalid(name)
        return value


def read_moment(name: str, text: str) -> datetime:
    """A moment in ISO 8601.

    Raises:
        ApiError: 400/3000 it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(name) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def invalid(name: str) -> ApiError:
    """The refusal of a property."""
    return ApiError(400, 3000, f"The property '{name}' is invalid.")


def is_guid(text: str) -> bool:
    """Whether the text is a GUID."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def has(values: Mapping[str, Any], **wanted: str | None) -> bool:
    """Whether each wanted value that is not None equals the one of that name, in any case."""
    return all(value is None or str(values.get(name) or "").lower() == value.lower() for name, value in wanted.items())
