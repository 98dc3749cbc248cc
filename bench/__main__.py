"""Command line of the benchmark: `python -m bench [part ...]`, or `make bench`.

BENCH_JSON=path writes the figures as JSON too. Exit code 1 where a budget is not kept. A part is a module of this
package with `measure(sizes) -> Iterator[Case]`; each starts what it needs and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from bench.report import Case, table, write

PARTS = ("sync", "push", "imports", "telemetry")
SIZES = "200,2000"  # 20,000 takes the sync nearly an hour


def main() -> int:
    """Measure the wanted parts, print each as soon as it is measured, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare with the least that the work costs.")
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    sizes = os.environ.get("BENCH_SIZES", SIZES)
    parser.add_argument("--sizes", default=sizes, help="comma-separated; what a size is, a part says")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}")
    wanted = tuple(int(size) for size in arguments.sizes.split(","))
    cases: list[Case] = []
    for part in arguments.parts:
        began = time.monotonic()
        print(f"== {part}", flush=True)
        found: list[Case] = []
        for case in importlib.import_module(f"bench.{part}").measure(wanted):
            found.append(case)
            print(f"   {case.name} ({time.monotonic() - began:.0f} s)", flush=True)
        print(f"\n{table(found)}\n", flush=True)
        cases += found
    path = os.environ.get("BENCH_JSON")
    if path:
        write(cases, Path(path))
    broken = [case for case in cases if not case.holds]
    for case in broken:
        print(f"budget not kept: {case.part}, {case.name}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
