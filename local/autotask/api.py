"""The HTTP face: paths (in any case), the three headers, limits, and which entity does what with a verb.

`endpoint` answers every path outside `/_control`; it turns ApiError into Autotask's bodies.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from local.autotask import metadata
from local.autotask.adjust import adjust
from local.autotask.entities import CHILDREN, ENTITIES, Entity
from local.autotask.errors import ApiError, RuleError, not_found, wrong_verb
from local.autotask.limits import TIMEFRAME_MINUTES, Limits
from local.autotask.query import Query, children, parse_paging, without_empty_udfs
from local.autotask.tables import Selection
from local.autotask.units import LineSource, UnitsSource
from local.autotask.writes import Writes

if TYPE_CHECKING:
    from starlette.requests import Request

    from local.autotask.tables import Source
    from local.autotask.tenant import Tenant

LONGEST_URL = 2048
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the three headers must say."""

    user: str
    secret: str
    integration_code: str


@dataclass(slots=True)
class Call:
    """One request below an entity: the verb, the path parts after the entity, the parameters and the raw body."""

    method: str
    rest: list[str]
    url: str
    parameters: dict[str, str]
    raw: bytes

    def body(self) -> Any:
        """Return the parsed body.

        Raises:
            RuleError: it is not JSON.
        """
        try:
            return json.loads(self.raw)
        except ValueError as error:
            text = self.raw[:1].decode("utf-8", "replace")
            raise RuleError(f"Unexpected character encountered while parsing value: {text}") from error


class Api:
    """The REST API over one tenant."""

    def __init__(self, tenant: Tenant, credentials: Credentials) -> None:
        self._tenant = tenant
        self._credentials = credentials
        self.limits = Limits(tenant.clock, tenant.switches)
        self._writes = Writes(tenant)
        self._sources: dict[str, Source] = {
            "Companies": tenant.companies,
            "Contracts": tenant.contracts,
            "Services": tenant.services,
            "ContractServices": LineSource(tenant),
            "ContractServiceUnits": UnitsSource(tenant),
            "ContractNotes": tenant.contract_notes,
            "Tickets": tenant.tickets,
            "TicketNotes": tenant.ticket_notes,
            "BillingItems": tenant.billing_items,
            "BillingCodes": tenant.billing_codes,
        }

    async def endpoint(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return _json(await self._answer(request))
        except ApiError as error:
            if error.body is None or isinstance(error.body, str):
                return Response(error.body or b"", error.status, error.headers, "text/html" if error.body else None)
            return _json(error.body, error.status, error.headers)

    async def _answer(self, request: Request) -> Any:
        parts = [part for part in request.url.path.split("/") if part]
        while parts and parts[0].lower() in ("atservicesrest", "v1.0"):
            del parts[0]
        name = parts[0].lower() if parts else ""
        if name == "zoneinformation":
            return self._zone(request)
        if name == "versioninformation":
            return {"apiVersions": ["V1.0"]}
        self._authenticate(request)
        if request.method == "GET" and len(request.url.path) + len(request.url.query) > LONGEST_URL:
            raise not_found()
        raw = await request.body()
        entity = ENTITIES.get(name)
        if entity is None and name != "thresholdinformation":
            raise not_found()
        rest = [part.lower() for part in parts[1:]]
        target = entity and _target(entity, rest)
        with self.limits.request(target.name if target else name):
            await asyncio.sleep(self._tenant.switches["latencySeconds"])
            if entity is None:
                return self._threshold()
            url = f"{request.url.scheme}://{request.url.netloc}{request.url.path}".removesuffix("/next")
            call = Call(request.method, rest, url, dict(request.query_params), raw)
            return self._entity(entity, call)

    def _zone(self, request: Request) -> dict[str, Any]:
        if request.query_params.get("user", "").lower() != self._credentials.user.lower():
            raise RuleError("Zone information could not be determined")
        url = f"{request.url.scheme}://{request.url.netloc}/"
        return {"zoneName": "Local", "url": f"{url}atservicesrest/", "webUrl": url, "ci": 20264}

    def _threshold(self) -> dict[str, Any]:
        return {
            "externalRequestThreshold": int(self._tenant.switches["hourlyRequests"]),
            "requestThresholdTimeframe": TIMEFRAME_MINUTES,
            "currentTimeframeRequestCount": self.limits.used(),
        }

    def _authenticate(self, request: Request) -> None:
        headers = request.headers
        given = Credentials(
            headers.get("username", ""), headers.get("secret", ""), headers.get("apiintegrationcode", "")
        )
        if given != self._credentials:
            raise ApiError(401)

    def _entity(self, entity: Entity, call: Call) -> Any:
        match call.rest:
            case []:
                return self._write(entity, call, entity.root_writes, None)
            case ["query", *_]:
                return self._query(entity, call)
            case ["entityinformation", *part] if (describe := metadata.DESCRIPTIONS.get("/".join(part))) is not None:
                return describe(entity)
            case [number] if number.isdecimal():
                return self._item(entity, call, int(number))
            case [number, child, *more] if number.isdecimal() and (entity.name, child) in CHILDREN:
                return self._child(CHILDREN[entity.name, child], call, int(number), more)
        raise not_found()

    def _child(self, entity: Entity, call: Call, parent_id: int, rest: list[str]) -> Any:
        if rest:
            if len(rest) == 1 and rest[0].isdecimal():
                return self._item(entity, call, int(rest[0]))
            raise not_found()
        if call.method != "GET":
            return self._write(entity, call, entity.child_writes, parent_id)
        if not entity.queryable or entity.parent_field is None:
            raise wrong_verb("GET")
        found = self._sources[entity.name].select(Selection({entity.parent_field: {parent_id}}))
        return children(found, entity.parent_field, parent_id)

    def _item(self, entity: Entity, call: Call, row_id: int) -> dict[str, Any]:
        if call.method != "GET" or not entity.queryable:
            raise wrong_verb(call.method)
        item = self._sources[entity.name].get(row_id)
        if item is None and self._tenant.switches["missingItem"] == "404":
            raise not_found()
        return {"item": without_empty_udfs([item])[0] if item else None}

    def _query(self, entity: Entity, call: Call) -> dict[str, Any]:
        if not entity.queryable:
            raise not_found()
        if call.method not in ("GET", "POST"):
            raise wrong_verb(call.method)
        search = call.parameters.get("search") if call.method == "GET" else None
        if call.method == "GET" and search is None:
            if call.rest[1:] == ["next"]:
                raise wrong_verb("GET")
            raise RuleError("Invalid query syntax. A filter is required.")
        wanted = call.body() if search is None else Call("GET", [], "", {}, search.encode()).body()
        query = Query(entity, self._sources[entity.name], wanted)
        match call.rest[1:]:
            case []:
                return query.page(call.url, search=search)
            case ["next"]:
                return query.page(call.url, parse_paging(call.parameters.get("paging", "")), search)
            case ["count"]:
                return query.count()
        raise not_found()

    def _write(self, entity: Entity, call: Call, allowed: frozenset[str], parent_id: int | None) -> dict[str, Any]:
        if not allowed:
            raise not_found()
        if call.method not in allowed:
            raise wrong_verb(call.method)
        body = call.body()
        if not isinstance(body, dict):
            raise RuleError("Unexpected character encountered while parsing value: [")
        if entity.name == "ContractServiceAdjustments":
            made = adjust(self._tenant, body, parent_id)
            return {"itemId": made.id if self._tenant.switches["adjustmentItemId"] == "id" else None}
        if call.method == "POST":
            return {"itemId": self._writes.create(entity, body, parent_id)}
        return {"itemId": self._writes.update(entity, body, parent_id, replace=call.method == "PUT")}


def _target(entity: Entity, rest: list[str]) -> Entity:
    """Return the entity whose threads a request uses: the child of a child path."""
    return CHILDREN.get((entity.name, rest[1]), entity) if len(rest) > 1 else entity


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_ENCODE(body), status, headers, "application/json")
