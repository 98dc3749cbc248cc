"""Which tests stay together on one worker of `make test`, and which of them begin first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

if TYPE_CHECKING:
    from xdist.remote import Producer  # type: ignore[import-untyped]  # as above

# Their files share a stack or its parts, which one worker starts and ends with the directory
TOGETHER = ("tests/openapi/", "tests/security/", "tests/sign_in/")
# Nothing is shared here, and many tests are long: they fill what the others leave
APART = ("tests/crash/",)
# Few tests, and long ones: at the end, one worker would wait for the other
FIRST = (
    "tests/spine/test_four_hosts.py",
    "tests/spine/test_kill.py",
    "tests/spine/test_crash_loop.py",
    "tests/documents/test_dialogs.py",
    "tests/telemetry/test_sync_age.py",
)


def unit_of(nodeid: str) -> str:
    """The directory or file whose tests run one after the other on one worker, or the test that goes anywhere."""
    if nodeid.startswith(APART):
        return nodeid
    return next((start for start in TOGETHER if nodeid.startswith(start)), nodeid.split("::", 1)[0])


class Units(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """Gives out whole units in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Units | None:
    """Ours in place of `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Units(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker the long units go first and then those of many tests, so that short ones even out the end."""
    if not hasattr(config, "workerinput"):
        return
    unit = {item: unit_of(item.nodeid) for item in items}
    sizes = Counter(unit.values())
    items.sort(key=lambda item: (unit[item] not in FIRST, -sizes[unit[item]], unit[item]))
