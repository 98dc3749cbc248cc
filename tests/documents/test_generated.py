"""The generated parts of the documentation say what the code does."""

from __future__ import annotations

from tests.documents.generated import expected


def test_generated_parts_are_up_to_date() -> None:
    stale = [path.name for path, text in expected().items() if path.read_text(encoding="utf-8") != text]

    assert not stale, f"run python -m tests.documents: {stale}"
