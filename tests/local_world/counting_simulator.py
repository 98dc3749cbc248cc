"""The smallest simulator: its state is a number, and each POST to /count adds one to it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Route

from local.simulation.app import simulator_app
from local.simulation.clock import SimulatedClock
from local.simulation.faults import Faults
from local.simulation.requests_log import RequestsLog
from local.simulation.serve import serve
from local.simulation.switches import Switch, Switches

if TYPE_CHECKING:
    from starlette.requests import Request


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    counted: list[bytes] = []

    async def count(request: Request) -> JSONResponse:
        if request.method == "POST":
            counted.append(await request.body())
        return JSONResponse({"count": len(counted)})

    app = simulator_app(
        routes=[Route("/count", count, methods=["GET", "POST"])],
        clock=SimulatedClock(),
        faults=Faults(),
        log=RequestsLog(),
        switches=Switches(
            [Switch("mood", "calm", ("calm", "wild"), "How it behaves."), Switch("n", 1, None, "A number.")]
        ),
        state=lambda: {"count": len(counted)},
    )
    serve(app, name="counter", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
