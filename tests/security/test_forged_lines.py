"""No request can write a line of its own into the host's log, whichever part of it holds the line."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from tests.security.inventory import ROUTES
from tests.spine.world import World

NEVER = "forged_by_a_test"
FORGED = f'x\r\n{{"event": "{NEVER}"}}\n\x1b[2K\x00 \u2028{{"event": "{NEVER}"}}'


def forged(log: str) -> list[str]:
    """The lines of a log that a reader would take for ours and that a caller wrote."""
    lines = [line.strip("\x00\x1b ") for line in log.splitlines()]
    return [line for line in lines if line.startswith(f'{{"event": "{NEVER}"')]


def test_a_forged_line_would_be_found() -> None:
    assert forged(f"2026 ours\n{FORGED}\n")


def test_no_request_can_write_a_line_of_its_own_into_the_hosts_log(world: World) -> None:
    for route in ROUTES:
        world.clients["operator"].request(
            route.method,
            "/" + re.sub(r"{[^}]+}", quote(FORGED, safe=""), route.template),
            params={"kind": FORGED, FORGED: FORGED},
            json={"reason": FORGED, FORGED: FORGED},
            headers={"Idempotency-Key": "x", "traceparent": f"00-{NEVER}", "User-Agent": NEVER},
        )
    log = (Path(world.stack.logs) / "host.log").read_text(encoding="utf-8", errors="replace")

    assert log
    assert forged(log) == []
