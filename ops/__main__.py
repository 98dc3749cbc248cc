"""Run a command and say how it ended: 0 done, 1 not (all of it) done, 2 wrong arguments or no way to sign in."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from datetime import UTC, datetime

from ops.api import Api, ApiProblem
from ops.arguments import parser
from ops.commands import COMMANDS
from ops.screen import Screen
from ops.sign_in import sign_in
from shared.domain.errors import CspError, Misconfigured
from shared.transport import Transport


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    asked = parser().parse_args(arguments)
    screen = Screen(as_json=asked.json)
    try:
        return asyncio.run(_run(asked, screen))
    except ApiProblem as problem:
        _fail(screen, problem.document, str(problem))
        return 1
    except Misconfigured as error:
        _fail(screen, {"code": "misconfigured", "detail": error.reason}, error.reason)
        return 2
    except CspError as error:
        _fail(screen, {"code": "unavailable", "detail": str(error)}, str(error))
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was asked for goes on without this command.", file=sys.stderr)
        return 1


async def _run(asked: Namespace, screen: Screen) -> int:
    who = sign_in(asked)
    transport = Transport(who.base, now=lambda: datetime.now(UTC), vendor="csp_functions")
    try:
        return await COMMANDS[asked.command](Api(transport, who.token), screen, asked)
    finally:
        await transport.aclose()


def _fail(screen: Screen, document: object, sentence: str) -> None:
    if screen.as_json:
        screen.document(document)
    else:
        print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
