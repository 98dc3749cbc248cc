"""The import of `function_app` against importing every runtime dependency eagerly, in processor time.

Each import runs in a process of its own with an empty environment, in turns; the least of the runs counts.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

from bench.report import Case, Measure, table
from local.plan import REPOSITORY

RUNS = 9
LIMIT = 0.5
FLOOR = "import azure.functions, pydantic"
APP = "import function_app"
# What an app brings in that imports the clients it uses at the top of its modules
EAGER = (
    "import aiohttp, azure.data.tables.aio, azure.functions, azure.identity.aio, azure.monitor.opentelemetry.exporter,"
    " azure.servicebus.aio, httpx, jwt.algorithms, msal, opentelemetry.exporter.otlp.json.http.trace_exporter,"
    " opentelemetry.sdk._logs.export, opentelemetry.sdk.metrics, opentelemetry.sdk.trace, pydantic, pydantic_settings"
)


def measure(_sizes: tuple[int, ...] = ()) -> Iterator[Case]:
    """What is imported, and for how long."""
    programs = {"floor: azure-functions and pydantic": FLOOR, "function_app": APP, "every dependency, eagerly": EAGER}
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(RUNS):
        for name, program in programs.items():
            best[name] = min(best[name], _seconds(program))
    least = _least()
    for name, seconds in best.items():
        ratio = (seconds - least) / (best["every dependency, eagerly"] - least)
        limit = LIMIT if name == "function_app" else None
        measures = {"processor": Measure(round(seconds * 1000), "ms"), "of eager": Measure(round(ratio, 3), "", limit)}
        yield Case("imports", name, measures)


def _least() -> float:
    return min(_seconds("pass") for _ in range(RUNS))


def _seconds(program: str) -> float:
    """Processor time of a Python process that runs one line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": os.environ.get("PATH", "")}
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    print(table(list(measure())))
