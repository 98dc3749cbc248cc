"""Application settings as the Functions host sees them: `%NAME%` in bindings, and connections by name or by identity.

Values come from the process environment and from `local.settings.json` in the app's folder; the environment wins.
`host` resolves every trigger before anything starts, so that a missing setting is one clear sentence and not a late
failure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

PREFIX = "AzureWebJobs"
"""The host looks for a connection under this prefix first, then under its plain name."""

_REFERENCE = re.compile(r"%([^%\s]+)%")


class SettingsError(Exception):
    """A setting is missing or unusable; the message names it."""


@dataclass(frozen=True)
class ServiceBusConnection:
    """How to reach a Service Bus namespace: exactly one of the two is set."""

    connection_string: str | None = None
    fully_qualified_namespace: str | None = None


def add_local_settings(app_dir: Path, environment: MutableMapping[str, str]) -> None:
    """Add `Values` of `local.settings.json`, if the app has one, to the environment without replacing anything in it.

    Raises `SettingsError` where the file is not what `func` writes, or is encrypted (only `func` holds the key).
    """
    path = app_dir / "local.settings.json"
    if not path.is_file():
        return
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        values = document.get("Values", {})
        encrypted = document.get("IsEncrypted", False)
        items = [(str(name), str(value)) for name, value in values.items()]
    except (ValueError, AttributeError) as error:
        raise SettingsError(f"{path.name} is not an object with an object `Values`: {error}") from error
    if encrypted:
        raise SettingsError(f"{path.name} is encrypted; run `func settings decrypt` in the app's folder")
    for name, value in items:
        environment.setdefault(name, value)


class Settings:
    """Looks names up in a mapping of settings; an empty value counts as missing, as it does in the real host."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def expand(self, text: str) -> str:
        """Replace every `%NAME%` in a binding's text by its setting; raises `SettingsError` if one is missing."""
        return _REFERENCE.sub(lambda match: self._required(match[1]), text)

    def service_bus(self, name: str) -> ServiceBusConnection:
        """Resolve a binding's `connection`: the setting itself, or its `__fullyQualifiedNamespace` (identity-based).

        Raises `SettingsError` naming both possibilities if neither is set.
        """
        for candidate in (f"{PREFIX}{name}", name):
            if text := self._values.get(candidate):
                return ServiceBusConnection(connection_string=text)
            if namespace := self._values.get(f"{candidate}__fullyQualifiedNamespace"):
                return ServiceBusConnection(fully_qualified_namespace=namespace)
        raise SettingsError(
            f"setting {name} (a connection string) or {name}__fullyQualifiedNamespace (a host name) is missing"
        )

    def _required(self, name: str) -> str:
        value = self._values.get(name)
        if not value:
            raise SettingsError(f"setting {name} is missing")
        return value
