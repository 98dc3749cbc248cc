"""`python -m tests.documents` writes the generated parts of the documentation."""

from __future__ import annotations

from tests.documents.generated import expected

for path, text in expected().items():
    path.write_text(text, encoding="utf-8")
