"""What `python -m local` does: start everything, say how to use it, and end it on a signal.

Exit codes: 0 ended as asked for, 1 it did not start or the tour failed, 2 wrong arguments, 130 stopped before ready.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local.ports import NoFreePortError
from local.settings import overrides_of
from local.stack import Stack, StackOptions, StartError
from local.storage import MissingProgramError

if TYPE_CHECKING:
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WATCH_SECONDS = 0.3
_HIGHEST_PORT = 65535

DONE, FAILED, INTERRUPTED = 0, 1, 130


def main() -> int:
    """Start, report, wait for a signal (or take the tour), end. The exit code."""
    arguments = _parser().parse_args()
    for number in _SIGNALS:
        signal.signal(number, _leave)
    ready_file: Path | None = arguments.ready_file
    ready = False
    options = StackOptions(
        port=arguments.port,
        hosts=arguments.hosts,
        seed_customers=arguments.seed_customers,
        subscriptions_per_customer=arguments.subscriptions_per_customer,
        settings=overrides_of(os.environ),
    )
    began = time.monotonic()
    try:
        _require_place(ready_file)
        _remove(ready_file)  # one that is left from another run would tell of processes that are gone
        print("Starting the local stack ...", flush=True)
        with Stack(options, arguments.data) as stack:
            _write(ready_file, stack)
            _introduce(stack, time.monotonic() - began)
            ready = True
            if arguments.tour:
                return _tour(stack)
            _watch(stack, ready_file)
    except (StartError, NoFreePortError, MissingProgramError, OSError) as error:
        print(f"The local stack {'failed' if ready else 'did not start'}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nEverything is stopped." if ready else "\nStopped before it was ready.", flush=True)
        return DONE if ready else INTERRUPTED
    finally:
        with contextlib.suppress(OSError):
            _remove(ready_file)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="The whole local stack (docs/local.md).")
    parser.add_argument(
        "--port", type=_port, default=7071, help="of the API; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--ready-file", type=Path, help="JSON written once everything is ready, removed at the end")
    parser.add_argument("--seed-customers", type=_count, default=0, metavar="N", help="generated customers")
    parser.add_argument("--subscriptions-per-customer", type=_count, default=1, metavar="M", help="of each of them")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep storage and logs here (default: temporary)")
    parser.add_argument("--hosts", type=_positive, default=1, metavar="N", help="functions hosts on the same queue")
    parser.add_argument("--tour", action="store_true", help="walk through a few operations, then end")
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to {_HIGHEST_PORT}")
    return int(text)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _positive(text: str) -> int:
    number = _count(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _leave(_signal: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # ending takes its time, and a second Ctrl-C must not cut it short
    raise KeyboardInterrupt


def _tour(stack: Stack) -> int:
    from local import tour  # noqa: PLC0415  # the tour is long, and few runs take it

    return tour.run(stack.ready, stack)


def _watch(stack: Stack, ready_file: Path | None) -> None:
    pause = threading.Event()
    while not pause.wait(_WATCH_SECONDS):
        for report in stack.unexpected_ends():
            print(f"{report}\nThe rest of the stack goes on.", file=sys.stderr, flush=True)
            _write(ready_file, stack)


def _require_place(ready_file: Path | None) -> None:
    """Find out before the start, and not after it, that the ready file cannot be written. Raises StartError."""
    if ready_file is None:
        return
    try:
        if ready_file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=ready_file.parent):
            pass
    except OSError as error:
        raise StartError(f"the ready file {ready_file} cannot be written: {error.strerror}") from error


def _write(ready_file: Path | None, stack: Stack) -> None:
    """Put the ready file in place in one step: a reader sees all of it or none."""
    if ready_file is None:
        return
    ready_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=ready_file.parent, prefix=ready_file.name, delete=False, encoding="utf-8"
    ) as draft:
        json.dump(stack.ready, draft, indent=2)
    Path(draft.name).replace(ready_file)


def _remove(ready_file: Path | None) -> None:
    if ready_file:
        ready_file.unlink(missing_ok=True)


def _introduce(stack: Stack, seconds: float) -> None:
    ready = stack.ready
    tables = ready["tables"].rpartition("TableEndpoint=")[2].rstrip(";")
    print(
        f"Ready after {seconds:.1f} s.\n\n"
        f"  API             {ready['api']}\n"
        f"  Partner Center  {ready['partnerCenter']}   control: /_control/...\n"
        f"  Autotask        {ready['autotask']}   control: /_control/...\n"
        f"  Entra           {ready['entra']}   CA: {ready['caFile']}\n"
        f"  Telemetry       {ready['telemetry']}   control: /_control/...\n"
        f"  Service Bus     {ready['serviceBus']}\n"
        f"  Tables          {tables}\n"
        f"  Logs            {ready['logs']}\n\n"
        "An operator's token, good for eight hours, and a first call:\n\n"
        f"export API={ready['api']}\n"
        f"export TOKEN={ready['tokens']['operator']}\n"
        'curl -s -H "Authorization: Bearer $TOKEN" "$API/customers"\n\n'
        "Ctrl-C ends everything.",
        flush=True,
    )
