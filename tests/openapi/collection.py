"""Reads the `.http` files of docs/http as an HTTP client does, and sends their requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

FILES = [
    Path(__file__).parents[2] / "docs" / "http" / f"{name}.http"
    for name in ("service", "mappings", "conversions", "actions", "desk")
]
_VARIABLE = re.compile(r"^@(\w+) = (.*)$")
_USED = re.compile(r"{{(.+?)}}")
_NAME = re.compile(r"^# @name (\w+)$", re.MULTILINE)
_ANSWERS = re.compile(r"^# answers (\d{3})( in a moment)?$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """One request of a file: as it is written, and the status that it says."""

    file: str
    title: str
    name: str
    text: str
    status: int
    later: bool


@dataclass
class Client:
    """Knows the values of variables and the answers so far. `environment` is what `.env` would hold."""

    environment: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)

    def take(self, file: Path) -> Iterator[Asked]:
        """The requests of a file; its variables hold from now on."""
        head, *parts = file.read_text(encoding="utf-8").split("\n### ")
        for line in head.splitlines():
            if found := _VARIABLE.match(line):
                self.values[found[1]] = self.filled(found[2])
        for part in parts:
            title, _, rest = part.partition("\n")
            name, answers = _NAME.search(rest), _ANSWERS.search(rest)
            if answers is None:
                raise ValueError(f"{file.name}: '{title}' does not say what is answered")
            yield Asked(file.stem, title, name[1] if name else "", rest, int(answers[1]), bool(answers[2]))

    def request(self, asked: Asked) -> httpx.Request:
        """The request with every variable filled in. Raises KeyError for one that nobody knows."""
        lines = self.filled("\n".join(line for line in asked.text.splitlines() if not line.startswith("#"))).strip()
        head, _, body = lines.partition("\n\n")
        first, *headers = head.splitlines()
        method, _, url = first.partition(" ")
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in headers)]
        return httpx.Request(method, url, headers=pairs, content=body.encode() if body else None)

    def keep(self, asked: Asked, answer: httpx.Response) -> None:
        """Remember an answer for those that refer to it."""
        if asked.name and answer.content:
            self.answers[asked.name] = answer.json() if "json" in answer.headers["content-type"] else {}

    def filled(self, text: str) -> str:
        """A text with the values of its variables."""
        return _USED.sub(lambda found: self._value(found[1].strip()), text)

    def _value(self, name: str) -> str:
        if name.startswith("$dotenv "):
            return self.environment[name.removeprefix("$dotenv ")]
        if name == "$datetime 'YYYY-MM-DD'":
            return datetime.now(UTC).date().isoformat()
        request, separator, path = name.partition(".response.body.$.")
        if not separator:
            return self.values[name]
        found = self.answers[request]
        for member in path.split("."):
            found = found[member]
        return str(found)
