"""The commands: each asks the API and shows what came of it. The result is an exit code."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ops.api import Api, ApiProblem, Document
from ops.screen import Screen, plan_rows
from shared.domain.errors import Misconfigured

_POLL = 1.0
_PLAN = ("line", "decision", "date", "units", "money")

Command = Callable[[Api, Screen, Namespace], Awaitable[int]]


async def status(api: Api, screen: Screen, _: Namespace) -> int:
    """What is ready, how many are dead by reason, and what the last reconciliation found. 1 where not all is ready."""
    try:
        ready = await api.get("health/ready")
    except ApiProblem as problem:
        ready = problem.document
    codes: dict[str, int] = {}
    async for item in api.items("dead-letters", pageSize="200"):
        code = str((item["reasons"] or [{"code": "dead"}])[0]["code"])
        codes[code] = codes.get(code, 0) + 1
    run = (await api.get("reconciliation", pageSize="1")).get("run")
    healthy = ready.get("status") == "ready"
    if screen.as_json:
        screen.document({"ready": ready, "deadLetters": codes, "reconciliation": run})
        return 0 if healthy else 1
    screen.table("Dependencies", ("name", "state"), [(name, state) for name, state in _dependencies(ready)])
    screen.table("Dead letters", ("reason", "count"), sorted(codes.items()))
    if run:
        _show_run(screen, run)
    return 0 if healthy else 1


def _dependencies(ready: Document) -> list[tuple[str, object]]:
    """Each dependency with its state, and why calls to it are stopped."""
    return [
        (name, "; ".join(f"{key} {value}" for key, value in state.items() if value is not None))
        for name, state in ready.get("dependencies", {}).items()
    ]


async def list_dead_letters(api: Api, screen: Screen, arguments: Namespace) -> int:
    """The dead letters that a filter means."""
    query = _query(arguments)
    if arguments.csv:
        return _written(screen, arguments.csv, await api.text("dead-letters", format="csv", **query))
    found = []
    with screen.bar("reading") as bar:
        async for item in api.items("dead-letters", pageSize="200", **query):
            found.append(item)
            bar.at(len(found))
    if screen.as_json:
        screen.document(found)
        return 0
    rows = [
        (item["id"], item["diedAt"], reason["code"], reason["sentence"], reason["remedy"])
        for item in found
        for reason in item["reasons"]
    ]
    screen.table(f"{len(found)} dead letters", ("id", "died at", "reason", "what", "what helps"), rows)
    return 0


async def show(api: Api, screen: Screen, arguments: Namespace) -> int:
    """One dead letter."""
    item = await api.get(f"dead-letters/{arguments.operation}")
    if screen.as_json:
        screen.document(item)
        return 0
    operation = item["operation"]
    screen.line(f"{operation['id']}: {operation['kind']}, asked for by {operation['requestedBy']}")
    for reason in item["reasons"]:
        screen.line(f"{reason['code']}: {reason['sentence']}")
        if reason["vendorText"]:
            screen.line(f"Autotask said: {reason['vendorText']}")
        screen.line(f"What helps: {reason['remedy']}")
    events = [(event["at"], event["by"], event["event"], event["to"], event["why"]) for event in operation["events"]]
    screen.table("History", ("at", "by", "event", "to", "why"), events)
    screen.table("A re-submission would send", _PLAN, plan_rows(item["resubmission"]))
    return 0


async def resubmit(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Some by id, or all that a filter means. 1 where one could not be re-submitted."""
    if arguments.operations and not arguments.dry_run:
        return await _resubmit_each(api, screen, arguments)
    query = _query(arguments)
    if not (query or arguments.all) or arguments.operations:
        raise Misconfigured("name operations, a filter, or --all; a dry run takes a filter")
    wanted = {"code": query.get("code"), "customerId": query.get("customer")}
    wanted |= {"from": query.get("from"), "until": query.get("until")}
    body: Document = {"filter": {name: value for name, value in wanted.items() if value}, "reason": arguments.reason}
    if arguments.drift_policy:
        body["driftPolicy"] = arguments.drift_policy
    if arguments.dry_run:
        return await _planned(api, screen, {**body, "dryRun": True})
    return await _resubmit_many(api, screen, body, query)


async def _resubmit_each(api: Api, screen: Screen, arguments: Namespace) -> int:
    body = {"reason": arguments.reason}
    if arguments.drift_policy:
        body["driftPolicy"] = arguments.drift_policy
    results: list[Document] = []
    with screen.bar("re-submitting", len(arguments.operations)) as bar:
        for done, operation in enumerate(arguments.operations, start=1):
            try:
                answer = await api.post(f"dead-letters/{operation}/resubmit", body)
                results.append({"id": operation, "status": answer["operation"]["status"]})
            except ApiProblem as problem:
                results.append({"id": operation, "problem": problem.document.get("code"), "detail": str(problem)})
            bar.at(done)
    if screen.as_json:
        screen.document(results)
    rows = [(one["id"], one.get("status") or one.get("problem"), one.get("detail", "")) for one in results]
    screen.table("Re-submitted", ("id", "status", ""), rows)
    return 1 if any("problem" in one for one in results) else 0


async def _planned(api: Api, screen: Screen, body: Document) -> int:
    found = [item async for item in api.planned(body)]
    if screen.as_json:
        screen.document(found)
        return 0
    rows = [[item["id"], *row] for item in found for row in plan_rows(item["resubmission"])]
    screen.table(f"{len(found)} would be re-submitted", ("id", *_PLAN), rows)
    return 0


async def _resubmit_many(api: Api, screen: Screen, body: Document, query: dict[str, str]) -> int:
    total = 0
    async for item in api.items("dead-letters", pageSize="200", **query):
        total += item["type"] == "operation"
    job = await api.post("dead-letters/resubmit", body)
    path = str(job["links"]["self"]).removeprefix("/api/")
    with screen.bar("re-submitting", total) as bar:
        while job["status"] != "finished":
            await asyncio.sleep(_POLL)
            job = await api.get(path)
            bar.at(sum(job["counts"].values()))
    if screen.as_json:
        screen.document(job)
    counts = job["counts"]
    screen.table("Re-submitted", tuple(counts), [tuple(counts.values())])
    screen.table("Problems", ("about", "code", "sentence"), [tuple(one.values()) for one in job["problems"]])
    return 1 if counts["failed"] or job["problems"] else 0


async def dismiss(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Adopt what Autotask has."""
    answer = await api.post(f"dead-letters/{arguments.operation}/dismiss", {"reason": arguments.reason})
    return _operation(screen, answer)


async def drain(api: Api, screen: Screen, _: Namespace) -> int:
    """Remove stale copies from the broker's dead-letter queue."""
    with screen.bar("sweeping"):
        answer = await api.post("dead-letters/sweep")
    if screen.as_json:
        screen.document(answer)
    screen.line(f"{answer['removed']} copies of operations that are not dead any more were removed.")
    return 0


async def replay(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Push everything of a subscription that is dead or waiting."""
    path = f"customers/{arguments.customer}/subscriptions/{arguments.subscription}/autotask-sync"
    answer = await api.post(path, who="operator")
    if screen.as_json:
        screen.document(answer)
    taken = answer["operations"]
    screen.line(f"{len(taken)} operations are pushed now." if taken else "Nothing of it is dead or waiting.")
    for operation in taken:
        screen.line(str(operation))
    return 0


async def reconcile(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Run a reconciliation and wait for its end."""
    last = (await api.get("reconciliation", pageSize="1")).get("run") or {}
    run = await api.post("reconciliation")
    path = str(run["links"]["self"]).removeprefix("/api/")
    if not arguments.no_wait:
        with screen.bar("reading lines", last.get("lines") or None) as bar:
            while run["status"] != "finished":
                await asyncio.sleep(_POLL)
                run = await api.get(path)
                bar.at(run["lines"])
    if screen.as_json:
        screen.document(run)
    _show_run(screen, run)
    return 0


def _show_run(screen: Screen, run: Document) -> None:
    names = ("status", "lines", "unsettledLines", "findings", "monthlyTooMuch", "monthlyTooLittle")
    more = ("onceTooMuch", "onceTooLittle", "unpricedFindings")
    rows: list[tuple[str, Any]] = [(name, run[name]) for name in (*names, *more)]
    rows += [(f"moved by {mover}", count) for mover, count in run["movers"].items()]
    if run["pausedBecause"]:
        rows.append(("paused because", run["pausedBecause"]))
    screen.table("Reconciliation", ("", ""), rows)


async def findings(api: Api, screen: Screen, arguments: Namespace) -> int:
    """What the last reconciliation found."""
    named = {"mover": arguments.mover or "", "customer": arguments.customer}
    query = {name: value for name, value in named.items() if value}
    if arguments.csv:
        return _written(screen, arguments.csv, await api.text("reconciliation", format="csv", **query))
    found = [item async for item in api.items("reconciliation", pageSize="200", **query)]
    if screen.as_json:
        screen.document(found)
        return 0
    rows = [
        (
            item["customerId"],
            item["contractServiceId"],
            ", ".join(item["movers"]),
            item["on"],
            f"{item['verified']} / {item['actual']} / {item['desired']}",
            item["microsoftUnits"],
            item["monthly"],
        )
        for item in found
    ]
    columns = ("customer", "line", "moved by", "on", "verified / actual / wanted", "Microsoft", "a month")
    screen.table(f"{len(found)} findings", columns, rows)
    return 0


async def decide(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Accept or correct what was found about a line."""
    reading = arguments.reading or await _reading(api, arguments)
    body = {"reading": reading, "reason": arguments.reason}
    if arguments.command == "correct":
        body["to"] = arguments.to
    path = f"customers/{arguments.customer}/reconciliation/{arguments.line}/{arguments.command}"
    return _operation(screen, await api.post(path, body))


async def _reading(api: Api, arguments: Namespace) -> str:
    async for item in api.items("reconciliation", pageSize="200", customer=arguments.customer):
        if item["contractServiceId"] == arguments.line and item["reading"]:
            return str(item["reading"])
    raise Misconfigured(f"nothing is found about line {arguments.line} of this customer")


async def ticket(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Open a ticket about a finding."""
    answer = await api.post(f"customers/{arguments.customer}/reconciliation/{arguments.line}/ticket")
    if screen.as_json:
        screen.document(answer)
    screen.line(f"Ticket {answer['ticket']['number'] or answer['ticket']['id']}: {answer['ticket']['state']}")
    return 0


async def undo(api: Api, screen: Screen, arguments: Namespace) -> int:
    """Show what an undo would do; with --yes do it."""
    path = f"operations/{arguments.operation}/undo"
    if arguments.yes:
        return _operation(screen, await api.post(path, {"confirm": True, "reason": arguments.reason}))
    shown = await api.get(path)
    if screen.as_json:
        screen.document(shown)
        return 0
    screen.table("An undo would send", _PLAN, plan_rows(shown["lines"]))
    for warning in shown["warnings"]:
        screen.line(warning["sentence"])
    if shown["laterOperations"]:
        screen.line(f"These stay in force: {', '.join(shown['laterOperations'])}")
    screen.line("Nothing was done; repeat it with --yes.")
    return 0


def _operation(screen: Screen, answer: Document) -> int:
    if screen.as_json:
        screen.document(answer)
    screen.line(f"{answer['operation']['id']}: {answer['operation']['status']}")
    return 0


def _written(screen: Screen, file: str, text: str) -> int:
    Path(file).write_text(text, encoding="utf-8", newline="")
    lines = max(text.count("\r\n") - 1, 0)
    if screen.as_json:
        screen.document({"file": file, "lines": lines})
    screen.line(f"{lines} lines were written to {file}.")
    return 0


def _query(arguments: Namespace) -> dict[str, str]:
    named = {
        "code": arguments.code,
        "customer": arguments.customer,
        "from": arguments.since,
        "until": arguments.until,
    }
    return {name: value for name, value in named.items() if value}


COMMANDS: dict[str, Command] = {
    "status": status,
    "list": list_dead_letters,
    "show": show,
    "resubmit": resubmit,
    "dismiss": dismiss,
    "drain": drain,
    "replay": replay,
    "reconcile": reconcile,
    "findings": findings,
    "accept": decide,
    "correct": decide,
    "ticket": ticket,
    "undo": undo,
}
