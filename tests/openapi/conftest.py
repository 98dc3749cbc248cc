"""A stack with the seed that the documents speak of, untouched, one for this directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.forking import ForkServer
from local.stack import Stack, StackOptions
from tests.documents import dialogs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def seeded(forks: ForkServer) -> Iterator[Stack]:
    settings = {**dialogs.SETTINGS, "METRICS_SCHEDULE": "0 0 0 1 1 *", "CALLER_REQUESTS_PER_MINUTE": "100000"}
    with Stack(StackOptions(storage_in_memory=True, settings=settings, forks=forks)) as stack:
        yield stack
