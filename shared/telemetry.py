"""Traces, metrics and log lines: the one door to telemetry for doors, use cases and adapters (docs/observability.md).

Nothing is imported or sent until `use` names a recorder, which `shared.wiring` does where the settings name a
destination. Without one, spans only carry the trace on, so that operations keep their trace id all the same. No value
given here may be a name, an address, a secret, a query or a body: ids, codes, counts and times only.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.domain.errors import Conflict, NotFound, Refused
from shared.domain.operation import Operation
from shared.metrics import Metric

Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute]

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_ANSWERS = (Conflict, NotFound, Refused)  # what a caller is told; nothing failed on our side


class Kind(StrEnum):
    """On which side of a call a span is."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """One hop while it lasts; `traceparent` (W3C) is what later hops are children of."""

    @property
    def traceparent(self) -> str:
        """The W3C traceparent of this span."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, reason: str) -> None:
        """Mark the hop as failed; `reason` is a code or the name of a class."""


class Recorder(Protocol):
    """Takes what is told here; `shared.recording` has the one that sends."""

    def current(self) -> str:
        """The traceparent of the span around, empty where there is none."""

    def span(
        self, name: str, kind: Kind, *, parent: str, links: Sequence[str], attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """Open a span: below the one around, or below `parent` where it is another; empty begins a trace."""

    def measure(self, metric: Metric, value: float, attributes: Attributes) -> None:
        """Add to a counter, set a gauge, or record a value of a histogram."""


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: Kind = Kind.INTERNAL,
    within: str = "",
    apart: bool = False,
) -> Iterator[Span]:
    """One hop, below the span around.

    `within` is the traceparent of an operation: the span belongs to that trace, and where the one around is of another
    trace, the two are linked. `apart` begins a trace of its own, linked to the one around (docs/adr/0032).
    """
    here = _recorder.current()
    if _quiet.get() and not within and not apart:
        yield _Carried(here)
        return
    loud = _quiet.set(False)
    parent = here
    if apart:
        parent = ""
    elif within and trace_of(within) != trace_of(here):
        parent = within
    links = [here] if here and parent != here else []
    with _recorder.span(name, kind, parent=parent, links=links, attributes=attributes or {}) as opened:
        try:
            yield opened
        except BaseException as error:
            if isinstance(error, _ANSWERS):
                opened.note({"csp.outcome": error.code if isinstance(error, Refused) else type(error).__name__})
            else:
                opened.fail(type(error).__name__)
            raise
        finally:
            _quiet.reset(loud)


@contextmanager
def quietly() -> Iterator[None]:
    """No spans of what a run does a thousand times; it is still counted, and what belongs to an operation is told."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def entry(
    name: str, kind: Kind, attributes: Attributes | None = None, *, within: str = ""
) -> AbstractContextManager[Span]:
    """The first span of an invocation.

    Where the platform has opened one of its own, that one is the server's or the consumer's, in the trace that it has
    chosen, and this one is inside it; otherwise it goes on with `within`, what the request or message brought.
    """
    if _recorder.current():
        return span(name, attributes)
    return span(name, attributes, kind=kind, within=within if _TRACEPARENT.fullmatch(within) else "")


def traceparent() -> str:
    """The traceparent of the span around; empty outside of any."""
    return _recorder.current()


def trace_of(parent: str) -> str:
    """The trace id (32 hex digits) of a traceparent; empty where it is none."""
    found = _TRACEPARENT.fullmatch(parent)
    return found[1] if found else ""


def about(operation: Operation) -> dict[str, Attribute]:
    """What spans and log lines say of an operation."""
    address = operation.address
    return {
        "csp.operation.id": str(address),
        "csp.operation.kind": operation.kind.value,
        "csp.operation.status": operation.status,
        "csp.customer.id": address.customer,
        "csp.subscription.id": address.subscription,
    }


def measure(metric: Metric, value: float = 1, attributes: Attributes | None = None) -> None:
    """Add to a counter, set a gauge, or record a value of a histogram."""
    _recorder.measure(metric, value, attributes or {})


@contextmanager
def timed(metric: Metric, attributes: dict[str, Attribute] | None = None) -> Iterator[None]:
    """Record in a histogram how many seconds a block took; it may add to the attributes."""
    started = time.monotonic()
    try:
        yield
    finally:
        measure(metric, time.monotonic() - started, attributes)


def tell(
    log: logging.Logger, event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object
) -> None:
    """Write one log line: a JSON object with the event's name, the fields and the trace id.

    Of an error it says the class and where it was raised, never its text: that may quote what a vendor or caller sent.
    """
    document: dict[str, object] = {"event": event, **fields}
    if error is not None:
        document |= {"error": type(error).__name__, "stack": stack(error)}
    trace = trace_of(traceparent())
    if trace:
        document["traceId"] = trace
    log.log(level, "%s", json.dumps(document, default=str), extra={"fields": document})


def stack(error: BaseException) -> list[str]:
    """Where an error was raised: file, line and function of each frame, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


@dataclass(frozen=True, slots=True)
class _Carried:
    """A span that nobody records."""

    traceparent: str

    def note(self, attributes: Attributes) -> None:
        """Nothing."""

    def fail(self, reason: str) -> None:
        """Nothing."""


class Carrier:
    """The recorder without a destination: it hands the trace on and forgets everything else."""

    def __init__(self) -> None:
        self._around: ContextVar[str] = ContextVar("traceparent", default="")

    def current(self) -> str:
        """See Recorder."""
        return self._around.get()

    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002 - see Recorder
        kind: Kind,  # noqa: ARG002 - see Recorder
        *,
        parent: str,
        links: Sequence[str],  # noqa: ARG002 - see Recorder
        attributes: Attributes,  # noqa: ARG002 - see Recorder
    ) -> Iterator[Span]:
        """See Recorder."""
        carried = _Carried(parent or f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01")
        token = self._around.set(carried.traceparent)
        try:
            yield carried
        finally:
            self._around.reset(token)

    def measure(self, metric: Metric, value: float, attributes: Attributes) -> None:
        """See Recorder."""


_recorder: Recorder = Carrier()


def use(recorder: Recorder) -> None:
    """Give everything to this recorder from now on."""
    global _recorder  # noqa: PLW0603 - one per process, as for logging
    _recorder = recorder
