"""Runs what the world does: its time is virtual and nothing waits for a socket, so the loop asks no system call."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NothingToWaitFor(selectors.SelectSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits, and nothing can happen any more")
        return []


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` for the world. Raises AssertionError where all tasks wait for each other."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_NothingToWaitFor())) as runner:
        return runner.run(main)
