"""The generated parts of the documentation say what the code does, and links lead somewhere."""

from __future__ import annotations

import re

from tests.documents.generated import DOCS, expected

_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_generated_parts_are_up_to_date() -> None:
    stale = [path.name for path, text in expected().items() if path.read_text(encoding="utf-8") != text]

    assert not stale, f"run python -m tests.documents: {stale}"


def test_every_relative_link_leads_to_a_file() -> None:
    documents = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    broken = [
        f"{document.name}: {target}"
        for document in documents
        for target in _LINK.findall(document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]

    assert not broken
