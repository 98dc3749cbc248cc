"""The Autotask API as this application uses it: units and contracts are read in bulk, adjustments are posted once.

Reads raise the errors of `shared.domain.errors`; an adjustment answers with an `AdjustOutcome` and is never repeated
here. At most three requests run at once, as Autotask allows (reference 6). The zone is `shared.autotask.zone`'s.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from shared.autotask.answers import adjust_outcome, is_permanent, is_throttled, read_failure
from shared.autotask.budget import Remembered
from shared.autotask.searches import Searches
from shared.autotask.slots import Slots
from shared.autotask.ticketing import Ticketing
from shared.autotask.wire import (
    Item,
    parse_company,
    parse_contract,
    parse_line,
    parse_service,
    parse_units,
    whole,
)
from shared.autotask.zone import Zone
from shared.domain.contract import Company, Contract, ContractLine, Service, Threshold
from shared.domain.errors import Malformed, Misconfigured, OutcomeUnknown, Refused, RetryLater, VendorError
from shared.domain.outcomes import AdjustmentRefused, AdjustOutcome, AdjustUnknown, Unsent
from shared.transport import NotSent, Reply, Request, Retries, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from shared.domain.planning import Adjustment
    from shared.domain.reading import UnitsRow

PAGE_SIZE = 500  # the largest page (reference 4.2)
IDS_PER_QUERY = 100  # an `in` list counts as so many OR conditions; 500 is the limit (reference 4.1)
_CONCURRENCY = 3
_BUDGET_SECONDS = 60.0
_DESCRIPTION_LENGTH = 100
_READ_STATUSES = frozenset({408, 500, 502, 503, 504})


def _final(reply: Reply) -> bool:
    return is_permanent(reply.status, reply.body) or is_throttled(reply.status, reply.body)


class Autotask(Searches, Ticketing):
    """One Autotask tenant.

    `timeout` is the time of one attempt in seconds; a read with its repetitions may take three times as long.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        user: str,
        secret: str,
        integration_code: str,
        now: Callable[[], datetime],
        timeout: float = 30.0,
        retries: Retries | None = None,
        budget_seconds: float = _BUDGET_SECONDS,
    ) -> None:
        self._transport = transport
        self._zone = Zone(transport, user, now=now, timeout=timeout)
        self._credentials = {"UserName": user, "Secret": secret, "ApiIntegrationCode": integration_code}
        self._now = now
        self._timeout = timeout
        self._read_seconds = 3 * timeout
        self._retries = retries or Retries(attempts=3, statuses=_READ_STATUSES, final=_final)
        self._slots = Slots(_CONCURRENCY)
        self._sent = 0
        self._budget = Remembered(budget_seconds)

    async def units(self, lines: Sequence[int]) -> dict[int, tuple[UnitsRow, ...]]:
        """The unit rows of each of up to 100 lines, by start date; a line without rows has none (zero units).

        Raises:
            ValueError: more than 100 lines; slice them.
        """
        if len(lines) > IDS_PER_QUERY:
            raise ValueError(f"at most {IDS_PER_QUERY} lines per call")
        found: defaultdict[int, list[UnitsRow]] = defaultdict(list)
        for item in await self._by_ids("ContractServiceUnits", "contractServiceID", lines):
            found[whole(item, "contractServiceID")].append(parse_units(item))
        return {line: tuple(sorted(found[line], key=lambda row: row.start)) for line in lines}

    async def contracts(self, ids: Iterable[int]) -> dict[int, Contract]:
        """The contracts that exist among `ids`."""
        return {contract.id: contract for contract in map(parse_contract, await self._by_ids("Contracts", "id", ids))}

    async def services(self, ids: Iterable[int]) -> dict[int, Service]:
        """The catalogue's services that exist among `ids`."""
        return {service.id: service for service in map(parse_service, await self._by_ids("Services", "id", ids))}

    async def companies(self, ids: Iterable[int]) -> dict[int, Company]:
        """The companies that exist among `ids`."""
        return {company.id: company for company in map(parse_company, await self._by_ids("Companies", "id", ids))}

    async def contract_lines(self, contract: int) -> list[ContractLine]:
        """The lines (contract services) of a contract."""
        return [parse_line(item) for item in await self._by_ids("ContractServices", "contractID", [contract])]

    async def line(self, id: int) -> ContractLine | None:  # noqa: A002 - the name in the port
        """One line, None where Autotask does not know it (item null or 404: reference 4.2)."""
        reply = await self._call("GET", f"ContractServices/{id}")
        if reply.status == 404:
            return None
        item = _readable(reply).get("item")
        return parse_line(item) if isinstance(item, dict) else None

    async def threshold(self) -> Threshold:
        """How much of the tenant's request budget is used; this call counts too."""
        answer = _readable(await self._call("GET", "ThresholdInformation"))
        return Threshold(
            limit=whole(answer, "externalRequestThreshold"),
            minutes=whole(answer, "requestThresholdTimeframe"),
            used=whole(answer, "currentTimeframeRequestCount"),
        )

    async def budget(self) -> Threshold | None:
        """The threshold as it was read lately, with our own requests since then; None where it cannot be read.

        It is read at most once in `budget_seconds`, whether that succeeds or not.
        """
        return await self._budget.plus(self.threshold, lambda: self._sent)

    async def create_line(self, contract: int, service: int, description: str) -> int:
        """Put a service on a contract; the id of the new line. The description is internal, 100 characters are kept.

        Raises:
            Refused: Autotask's rules forbid it, for example the service is there already.
            RetryLater: certainly not executed.
            OutcomeUnknown: it may have been created; read the contract's lines.
        """
        body = {
            "contractID": contract,
            "serviceID": service,
            "internalDescription": description[:_DESCRIPTION_LENGTH],
        }
        reply = await self._call("POST", f"Contracts/{contract}/Services", body, write_within=self._timeout)
        self._require_success(reply)
        created = reply.json().get("itemId")
        if not isinstance(created, int) or isinstance(created, bool):
            raise OutcomeUnknown("a line was created, but its id is not in the answer")
        return created

    async def repeat_line(self, contract: int, service: int, day: date) -> None:
        """Make a further line of a service that is on a contract already, without units (reference 8.4).

        Only an adjustment can: it begins on `day`, changes no units and names no rate. Its answer has no id, so the
        line is found by reading the contract's lines. Raises as `create_line` does.
        """
        body = {
            "contractID": contract,
            "serviceID": service,
            "unitChange": 0,
            "effectiveDate": _day(day),
            "allowRepeatService": True,
        }
        self._require_success(
            await self._call("POST", f"Contracts/{contract}/ServiceAdjustments", body, write_within=self._timeout)
        )

    def _require_success(self, reply: Reply) -> None:
        match self._outcome(reply):
            case AdjustmentRefused(status, errors):
                raise Refused("autotask_refused", "; ".join(errors), status=status)
            case Unsent(reason):
                raise Misconfigured(reason)
            case AdjustUnknown(reason):
                raise OutcomeUnknown(reason)

    async def adjust(self, *, contract: int, line: int, adjustment: Adjustment, deadline: datetime) -> AdjustOutcome:
        """POST one adjustment; nothing is sent after `deadline`. Never repeated.

        A rate that the adjustment does not name is left out: a 0 would make the line free (reference 8.5).
        """
        body: dict[str, Any] = {
            "contractID": contract,
            "contractServiceID": line,
            "unitChange": adjustment.change,
            "effectiveDate": _day(adjustment.date),
        }
        for field, amount in (("adjustedUnitPrice", adjustment.price), ("adjustedUnitCost", adjustment.cost)):
            if amount is not None:
                body[field] = float(amount)  # JSON knows no decimals; four digits survive it
        within = self._seconds_until(deadline)
        try:
            reply = await self._call("POST", f"Contracts/{contract}/ServiceAdjustments", body, write_within=within)
        except OutcomeUnknown as error:
            return AdjustUnknown(error.reason)
        except (RetryLater, Misconfigured) as error:
            return Unsent(error.reason)
        return self._outcome(reply)

    def _seconds_until(self, deadline: datetime) -> float:
        return (deadline - self._now()).total_seconds()

    def _outcome(self, reply: Reply) -> AdjustOutcome:
        return adjust_outcome(reply.status, reply.body, reply.retry_after(self._now()))

    async def _by_ids(self, entity: str, field: str, ids: Iterable[int]) -> list[Item]:
        """All items whose `field` is one of `ids`, by keyset paging on the item's id.

        Autotask drops a filter that it does not understand and returns the whole table (reference 4.1): a row that
        was not asked for ends the reading.
        """
        found: list[Item] = []
        for slice_ in _slices(dict.fromkeys(ids), IDS_PER_QUERY):
            wanted = {"op": "in", "field": field, "value": list(slice_)}
            items = await self._query(entity, wanted)
            if any(item.get(field) not in slice_ for item in items):
                raise VendorError(200, f"{entity}: rows that were not asked for")
            found.extend(items)
        return found

    async def _query(self, entity: str, condition: dict[str, Any]) -> list[Item]:
        found: list[Item] = []
        after: list[dict[str, Any]] = []
        last = -1
        while True:
            items = await self._page(entity, [condition, *after], PAGE_SIZE)
            ids = [last, *(whole(item, "id") for item in items)]
            if any(second <= first for first, second in itertools.pairwise(ids)):
                raise VendorError(200, f"{entity}: rows are not in the order of their ids, paging would lose some")
            found.extend(items)
            if len(items) < PAGE_SIZE:
                return found
            last = ids[-1]
            after = [{"op": "gt", "field": "id", "value": last}]

    async def _page(self, entity: str, conditions: list[dict[str, Any]], size: int) -> list[Item]:
        reply = await self._call("POST", f"{entity}/query", {"MaxRecords": size, "filter": conditions})
        items = _readable(reply).get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise RetryLater("an answer of Autotask has no items")
        return items

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, write_within: float | None = None
    ) -> Reply:
        """One call in the right zone; a read (no `write_within`) raises what its answer means, 404 excepted."""
        write = write_within is not None
        stop = time.monotonic() + (self._read_seconds if write_within is None else write_within)
        zone = await self._zone.url(stop)
        reply = await self._send(zone, method, path, body, stop, write=write)
        if reply.status == 401:
            moved = await self._zone.url(stop, instead_of=zone)
            if moved != zone:
                reply = await self._send(moved, method, path, body, stop, write=write)
        if not write and reply.status != 404:
            failure = read_failure(reply.status, reply.body, reply.retry_after(self._now()))
            if failure:
                raise failure
        return reply

    async def _send(
        self, zone: str, method: str, path: str, body: dict[str, Any] | None, stop: float, *, write: bool
    ) -> Reply:
        async with contextlib.AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._slots.one(within=stop - time.monotonic()))
            except TimeoutError:
                raise NotSent("no time was left after waiting for a free request slot") from None
            self._sent += 1
            return await self._transport.send(
                Request(
                    method,
                    f"{zone}/v1.0/{path}",
                    write=write,
                    within=stop - time.monotonic(),
                    timeout=self._timeout,
                    headers=self._credentials,
                    body=body,
                    retries=self._retries,
                )
            )


def _day(day: date) -> str:
    """A business date as Autotask keeps it: without zone, so that it stays as it is written (reference 7)."""
    return f"{day.isoformat()}T00:00:00"


def _readable(reply: Reply) -> Item:
    """The object in an answer to a read; an unreadable one is worth another read."""
    failure = read_failure(reply.status, reply.body)
    if failure:
        raise failure
    try:
        parsed = reply.json()
    except Malformed as error:
        raise RetryLater(str(error)) from None
    if not isinstance(parsed, dict):
        raise RetryLater("an answer of Autotask is not a JSON object")
    return parsed


def _slices(ids: Iterable[int], size: int) -> Iterator[tuple[int, ...]]:
    remaining = iter(ids)
    while part := tuple(itertools.islice(remaining, size)):
        yield part
