"""The arguments of the command line."""

from __future__ import annotations

import argparse

POLICIES = ("review", "respect", "overwrite")
MOVERS = ("person", "us_late", "us_open", "microsoft", "autotask")


def parser() -> argparse.ArgumentParser:
    """The parser; each command has a name of its own."""
    root = argparse.ArgumentParser(prog="python -m ops", description="The dead-letter desk (docs/ops.md).")
    root.add_argument("--api", help="address of the application, such as https://…/api (CSP_API)")
    root.add_argument("--ready", help="the ready file of a local stack (CSP_READY)")
    root.add_argument("--audience", help="client id of the API's registration (CSP_AUDIENCE)")
    root.add_argument("--tenant", help="tenant to sign in to with a device code (CSP_TENANT)")
    root.add_argument("--client-id", help="a public client to sign in with a device code (CSP_CLIENT_ID)")
    root.add_argument("--device-code", action="store_true", help="sign in by a code in a browser on any machine")
    root.add_argument("--json", action="store_true", help="print JSON and nothing else")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("status", help="what is ready, dead and found")
    _dead_letters(commands)
    _reconciliation(commands)
    undo = commands.add_parser("undo", help="what an undo of an operation would do; with --yes, do it")
    undo.add_argument("operation")
    undo.add_argument("--yes", action="store_true", help="do it")
    undo.add_argument("--reason", default="")
    replay = commands.add_parser("replay", help="push everything of a subscription that is dead or waiting, now")
    replay.add_argument("customer")
    replay.add_argument("subscription")
    return root


def _dead_letters(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # the public name of the type
    listed = commands.add_parser("list", help="dead letters with reason and remedy")
    _filter(listed)
    listed.add_argument("--csv", metavar="FILE", help="write them to a file instead")
    show = commands.add_parser("show", help="one dead letter with its history and the plan of a re-submission")
    show.add_argument("operation")
    again = commands.add_parser("resubmit", help="re-submit some by id, or all that a filter means")
    again.add_argument("operations", nargs="*", metavar="operation")
    _filter(again)
    again.add_argument("--drift-policy", choices=POLICIES, help="what is done about hand edits")
    again.add_argument("--reason", default="")
    again.add_argument("--dry-run", action="store_true", help="only say what would be done")
    again.add_argument("--all", action="store_true", help="with neither ids nor a filter: every dead letter")
    dismiss = commands.add_parser("dismiss", help="adopt what Autotask has; the operation is not pushed")
    dismiss.add_argument("operation")
    dismiss.add_argument("--reason", required=True)
    commands.add_parser("drain", help="remove stale copies from the broker's dead-letter queue")


def _reconciliation(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("reconcile", help="read all mapped lines and say which are not billed as they should be")
    run.add_argument("--no-wait", action="store_true", help="only start it")
    findings = commands.add_parser("findings", help="what the last reconciliation found")
    findings.add_argument("--mover", choices=MOVERS)
    findings.add_argument("--customer", default="")
    findings.add_argument("--csv", metavar="FILE", help="write them to a file instead")
    for name, text in (
        ("accept", "what Autotask bills on a line is right"),
        ("correct", "push what is wanted over what was found"),
        ("ticket", "open a ticket in Autotask about a finding"),
    ):
        decide = commands.add_parser(name, help=text)
        decide.add_argument("customer")
        decide.add_argument("line", type=int)
        if name != "ticket":
            decide.add_argument("--reason", default="")
            decide.add_argument("--reading", help="the reading that was looked at; default: that of the finding")
        if name == "correct":
            decide.add_argument("--to", choices=("desired", "microsoft"), default="desired")


def _filter(command: argparse.ArgumentParser) -> None:
    command.add_argument("--code", default="", help="of a reason, such as drift")
    command.add_argument("--customer", default="", help="of a customer")
    command.add_argument("--from", dest="since", default="", metavar="MOMENT", help="died at or after, ISO 8601 with Z")
    command.add_argument("--until", default="", metavar="MOMENT", help="died before")
