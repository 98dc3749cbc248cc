"""Every call that docs/api.md shows is answered as it says there."""

from __future__ import annotations

import difflib
from dataclasses import replace

from local.forking import ForkServer
from local.stack import Stack
from tests.documents import dialogs
from tests.documents.generated import DOCS


def test_the_documented_calls_of_each_dialog_are_answered_as_documented(forks: ForkServer) -> None:
    document = (DOCS / "api.md").read_text(encoding="utf-8")
    with Stack(replace(dialogs.options(), forks=forks)) as stack:
        now = dialogs.markdown(dialogs.ask_all(stack))

    documented, answered = (dialogs.masked(dialogs.shown(text)) for text in (document, now))
    differences = difflib.unified_diff(
        dialogs.pretty(documented).splitlines(), dialogs.pretty(answered).splitlines(), "documented", "answered", n=3
    )
    same = documented == answered
    assert same, "run python -m tests.documents dialogs\n" + "\n".join(line[:200] for line in list(differences)[:40])
