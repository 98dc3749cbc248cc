"""A JSON object of Partner Center read tolerantly: keys in any letter case, trailing blanks, numbers as text.

The transition and migration endpoints are documented with camelCase and PascalCase side by side, and with values such
as `"Started "` (reference 4.7, 9.1.2). Used by `wire_transitions` and `wire_migrations`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.domain.reasons import Reason, Vocabulary
from shared.partner_center.wire import moment, whole


class Fields:
    """One object; anything that is not an object reads as an empty one. Where several names are given, the first wins
    that has a value.
    """

    def __init__(self, value: object) -> None:
        self.raw: dict[str, Any] = value if isinstance(value, dict) else {}
        self._values = {key.lower(): found for key, found in self.raw.items()}

    def has(self, *names: str) -> bool:
        """Whether one of the names has a value."""
        return self._value(names) is not None

    def text(self, *names: str) -> str:
        """The text, without surrounding blanks; empty where there is none."""
        value = self._value(names)
        if isinstance(value, str):
            return value.strip()
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""

    def identity(self, *names: str) -> str | None:
        """An id, lower-case; None where there is none."""
        return self.text(*names).lower() or None

    def flag(self, *names: str) -> bool:
        """Whether it is true, or the word true."""
        value = self._value(names)
        return value is True or (isinstance(value, str) and value.strip().lower() == "true")

    def whole(self, *names: str) -> int | None:
        """A whole number, None where there is none."""
        return whole(self._value(names))

    def moment(self, *names: str) -> datetime | None:
        """A UTC moment, None where there is none."""
        return moment(self._value(names))

    def child(self, *names: str) -> Fields:
        """The object under a name."""
        return Fields(self._value(names))

    def children(self, *names: str) -> list[Fields]:
        """The objects in the array under a name."""
        value = self._value(names)
        return [Fields(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []

    def reasons(self, vocabulary: Vocabulary, *names: str) -> tuple[Reason, ...]:
        """The errors in the array under a name: objects with code and description, or bare codes."""
        value = self._value(names)
        return tuple(_reason(vocabulary, item) for item in value) if isinstance(value, list) else ()

    def _value(self, names: tuple[str, ...]) -> Any:
        found = (self._values.get(name.lower()) for name in names)
        return next((value for value in found if value is not None), None)


def _reason(vocabulary: Vocabulary, item: object) -> Reason:
    error = Fields(item if isinstance(item, dict) else {"code": item})
    return vocabulary.reason(error.text("code", "errorCode"), error.text("description", "message", "errorDescription"))


def api_word(word: str) -> str:
    """An enumeration's word as requests write it, `Monthly` or `OneTime`, from any spelling (reference 4.7)."""
    return "".join(part[:1].upper() + part[1:] for part in word.strip().split("_"))
