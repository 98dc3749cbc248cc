"""Why Microsoft says no before anything is tried: the small error enumerations of eligibility answers; pure.

Partner Center writes them as integers, as digits in a string, as snake_case or as PascalCase words, depending on the
endpoint and the year (reference 9.1.1, 9.2, 11.1). A `Vocabulary` brings them to one stable snake_case word with our
sentence. Used by `shared.domain.upgrade`, `shared.domain.migration` and the wire modules of `shared.partner_center`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a stable code, Microsoft's text word for word, and our sentence (Microsoft's where we have none)."""

    code: str
    text: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One enumeration: number -> (word, sentence)."""

    entries: dict[int, tuple[str, str]]

    def reason(self, code: str, text: str) -> Reason:
        """The reason that a code of any spelling stands for; an unknown one keeps its code and text."""
        found = self._entry(code.strip())
        if found is None:
            return Reason(code.strip(), text, text or f"Microsoft gives the code {code.strip() or 'none'} as reason.")
        return Reason(found[0], text, found[1])

    def _entry(self, code: str) -> tuple[str, str] | None:
        if code.isascii() and code.isdigit():
            return self.entries.get(int(code[:9]))
        wanted = plain(code)
        return next((entry for entry in self.entries.values() if plain(entry[0]) == wanted), None)


def plain(word: str) -> str:
    """A word without case and separators: snake_case and PascalCase of the same word are alike."""
    return re.sub(r"[^a-z0-9]", "", word.lower())
