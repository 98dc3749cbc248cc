"""Whether the calls that are made now serve somebody who waits, or work that nobody waits for (ADR 0037).

A context variable, so that tasks inherit it. What is not said to be background work is interactive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_background: ContextVar[bool] = ContextVar("background", default=False)


@contextlib.contextmanager
def background() -> Iterator[None]:
    """Everything inside is background work: where requests have to wait for each other, it lets others go first."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def in_background() -> bool:
    """Whether the present task does background work."""
    return _background.get()
