"""The secrets of one vault: each name has versions, the newest of which is read where none is named.

Shapes are those of the Key Vault REST API (secret bundles, error bodies).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
LONGEST_VALUE = 25_000


class VaultError(Exception):
    """The vault says no: HTTP status, its code and a sentence."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence

    def body(self) -> dict[str, Any]:
        """The JSON body of the refusal."""
        return {"error": {"code": self.code, "message": self.sentence}}


@dataclass(frozen=True)
class Version:
    """One version of a secret."""

    id: str
    value: str
    created: int
    document: Mapping[str, Any]


class Vault:
    """The secrets by name; `setting` reads a switch, `now` the simulated clock."""

    def __init__(self, base_url: str, *, setting: Callable[[str], object], now: Callable[[], datetime]) -> None:
        self._base_url = base_url
        self._setting = setting
        self._now = now
        self._secrets: dict[str, list[Version]] = {}

    def read(self, name: str, version: str) -> dict[str, Any]:
        """A secret bundle. Raises VaultError."""
        if self._setting("access") == "denied":
            raise _forbidden("get")
        versions = self._secrets.get(name, [])
        found = versions[-1:] if not version else [known for known in versions if known.id == version]
        if not found:
            raise VaultError(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        return self._bundle(name, found[0])

    def write(self, name: str, document: object) -> dict[str, Any]:
        """Add a version and give its bundle. Raises VaultError."""
        if self._setting("access") != "read_and_write":
            raise _forbidden("set")
        if not isinstance(document, dict) or not NAME.fullmatch(name):
            raise VaultError(400, "BadParameter", "The name or the body of the secret is not valid.")
        value = document.get("value")
        if not isinstance(value, str) or len(value) > LONGEST_VALUE:
            raise VaultError(400, "BadParameter", "The value of the secret is not valid.")
        version = Version(uuid.uuid4().hex, value, int(self._now().timestamp()), document)
        self._secrets.setdefault(name, []).append(version)
        return self._bundle(name, version)

    def state(self) -> dict[str, Any]:
        """Names and versions, without the values."""
        return {
            "secrets": {
                name: [{"version": version.id, "created": version.created} for version in versions]
                for name, versions in self._secrets.items()
            }
        }

    def _bundle(self, name: str, version: Version) -> dict[str, Any]:
        asked = dict(version.document.get("attributes") or {})
        return {
            "value": version.value,
            "id": f"{self._base_url}/secrets/{name}/{version.id}",
            "attributes": {
                "enabled": True,
                **asked,
                "created": version.created,
                "updated": version.created,
                "recoveryLevel": "Recoverable",
                "recoverableDays": 90,
            },
            **{key: version.document[key] for key in ("contentType", "tags") if version.document.get(key)},
        }


def _forbidden(operation: str) -> VaultError:
    sentence = f"Caller is not authorized to perform action on resource: secrets/{operation}. Caller: appid=local"
    return VaultError(403, "Forbidden", sentence)
