"""The architecture's list of files that a cancel passes through is what runs."""

from __future__ import annotations

import asyncio
import re
import sys
from types import FrameType

from shared.domain.actions import Action
from tests.crash.scenarios import ask, change, mapped
from tests.documents.generated import DOCS
from tests.world import checks
from tests.world.world import CONTRACT_START, World, line_id

ROOT = f"{DOCS.parent}/"
_OF_THE_PATH = re.compile(r"`(shared/usecases/[a-z_]+\.py)`")
_WIRING = "shared/usecases/app.py"


def test_a_cancel_passes_through_the_files_that_the_architecture_names() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## The files that one cancel passes through")[2].partition("\n## ")[0]
    ran: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(f"{ROOT}shared/usecases/"):
            ran.add(file.removeprefix(ROOT))

    world = World()
    asyncio.run(mapped(world))
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        asyncio.run(ask(world, change(1, Action.CANCEL)))
    finally:
        sys.setprofile(before)

    assert checks.billed(world, line_id(1))[CONTRACT_START] == 10
    assert set(_OF_THE_PATH.findall(section)) == ran - {_WIRING}
