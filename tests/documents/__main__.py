"""`python -m tests.documents` writes the generated parts of the documents; with `dialogs`, those of a stack too."""

from __future__ import annotations

import sys

from local.stack import Stack
from tests.documents import dialogs
from tests.documents.generated import DOCS, expected, with_part
from tests.openapi import conforming, document

for path, text in expected().items():
    path.write_text(text, encoding="utf-8")
conforming.FILE.write_text(document.as_text(), encoding="utf-8")
if "dialogs" in sys.argv[1:]:
    api = DOCS / "api.md"
    with Stack(dialogs.options()) as stack:
        shown = dialogs.markdown(dialogs.ask_all(stack))
    api.write_text(with_part(api.read_text(encoding="utf-8"), "dialogs", shown), encoding="utf-8")
