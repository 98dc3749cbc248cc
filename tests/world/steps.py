"""The I/O steps of one process: each call of a fake is one step, with a point before and a point after its effect.

A process that is killed at a point does nothing any more: whatever of it still runs is stopped at its next call.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any


class Killed(BaseException):
    """The process died here. No `except Exception` of the application sees it, as no code sees a SIGKILL."""


class Side(StrEnum):
    """On which side of a call's effect a point lies."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Point:
    """One moment of a run: the number of the step from 1, and the side of its effect."""

    step: int
    side: Side

    def __str__(self) -> str:
        return f"{self.side} step {self.step}"


Disturbance = Callable[["Steps", str, Side], Awaitable[None]]


@dataclass(eq=False)
class Steps:
    """What a process has done. `disturb` is asked at every point and may wait, raise Killed, or call `die`."""

    name: str = "host"
    kill_at: Point | None = None
    disturb: Disturbance | None = None
    trace: list[str] = field(default_factory=list)
    dead: bool = False
    ends: list[int] = field(default_factory=list)  #: how many steps had been done whenever a job was over

    def end(self) -> None:
        """A job is over: whoever asked for it has its answer, and the next begins with what is stored."""
        self.ends.append(len(self.trace))

    def moments(self) -> list[Point]:
        """The points of this run at which a kill leaves a world of its own.

        A process does nothing to the world between the effect of one step and the next step of the same job, so that
        a kill after the one leaves what a kill before the other leaves. After the last step of a job they differ.
        """
        before = [Point(step, Side.BEFORE) for step in range(1, len(self.trace) + 1)]
        return before + [Point(step, Side.AFTER) for step in sorted(set(self.ends) - {0})]

    def die(self) -> None:
        self.dead = True

    async def call(self, label: str, method: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        number = await self.before(label)
        try:
            return await method(*args, **named)
        finally:
            await self.after(label, number)

    async def before(self, label: str) -> int:
        self._alive()
        self.trace.append(label)
        number = len(self.trace)
        await self._point(label, number, Side.BEFORE)
        return number

    async def after(self, label: str, number: int) -> None:
        await self._point(label, number, Side.AFTER)

    async def _point(self, label: str, step: int, side: Side) -> None:
        if self.kill_at is not None and self.kill_at == Point(step, side):
            self.die()
        self._alive()
        if self.disturb is not None:
            await self.disturb(self, label, side)
            self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise Killed(self.name)


class Watched:
    """Stands in front of a fake: its coroutine methods and asynchronous iterators become steps; the rest passes."""

    def __init__(self, fake: object, steps: Steps, name: str) -> None:
        self._fake = fake
        self._steps = steps
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        method = getattr(self._fake, attribute)
        label = f"{self._name}.{attribute}"
        step: Callable[..., Any]
        if inspect.isasyncgenfunction(method):
            step = partial(self._iterate, label, method)
        elif inspect.iscoroutinefunction(method):
            step = partial(self._call, label, method)
        else:
            return method
        setattr(self, attribute, step)  # whoever asks again finds it at once
        return step

    async def _call(self, label: str, method: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        about = args[0] if args and isinstance(args[0], str) else named.get("line", "")
        return await self._steps.call(f"{label} {about}" if about else label, method, *args, **named)

    async def _iterate(
        self, label: str, method: Callable[..., AsyncIterator[Any]], *args: Any, **named: Any
    ) -> AsyncIterator[Any]:
        number = await self._steps.before(label)
        async for page in method(*args, **named):
            await self._steps.after(label, number)
            yield page
            number = await self._steps.before(label)
        await self._steps.after(label, number)
