"""Searches in Autotask for what a mapping may name: by the beginning of a name, by name, web address or SKU.

Part of the client (`shared.autotask.client`), which pages and calls. Autotask drops a filter that it does not
understand and returns the whole table (reference 4.1), so that whatever was not asked for ends a search.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shared.autotask.wire import Item, parse_company, parse_contract, parse_line, parse_service
from shared.domain.contract import Company, Contract, ContractLine, Service
from shared.domain.errors import VendorError

_ALTERNATIVES = 400  # conditions of one query that are joined by "or"; 500 is the limit (reference 4.1)


class Searches(ABC):
    """What a client finds beside what it reads by id."""

    @abstractmethod
    async def _by_ids(self, entity: str, field: str, ids: Iterable[int]) -> list[Item]:
        """All items whose field is one of the ids."""

    @abstractmethod
    async def _query(self, entity: str, condition: dict[str, Any]) -> list[Item]:
        """All items that a condition holds for."""

    @abstractmethod
    async def _page(self, entity: str, conditions: list[dict[str, Any]], size: int) -> list[Item]:
        """The first items, by id, that all conditions hold for."""

    async def contracts_of(self, companies: Iterable[int]) -> list[Contract]:
        """The contracts of some companies, by id."""
        return [parse_contract(item) for item in await self._by_ids("Contracts", "companyID", companies)]

    async def lines_of(self, contracts: Iterable[int]) -> list[ContractLine]:
        """The lines of some contracts, by id."""
        return [parse_line(item) for item in await self._by_ids("ContractServices", "contractID", contracts)]

    async def lines(self, ids: Iterable[int]) -> dict[int, ContractLine]:
        """The lines that exist among `ids`."""
        return {line.id: line for line in map(parse_line, await self._by_ids("ContractServices", "id", ids))}

    async def companies_by_name(self, prefix: str, limit: int = 20, after: int = 0) -> list[Company]:
        """The first companies by id, after one, whose name begins with `prefix` in any letter case."""
        return [parse_company(item) for item in await self._begins("Companies", "companyName", prefix, limit, after)]

    async def services_by_name(self, prefix: str, limit: int = 20, after: int = 0) -> list[Service]:
        """The first services by id, after one, whose name begins with `prefix` in any letter case."""
        return [parse_service(item) for item in await self._begins("Services", "name", prefix, limit, after)]

    async def companies_named(self, names: Iterable[str]) -> list[Company]:
        """The companies that have one of these names, in any letter case."""
        wanted = {name.casefold() for name in names}
        return [
            parse_company(item)
            for part in _parts(sorted(wanted))
            for item in _only(
                "Companies",
                await self._query("Companies", {"op": "in", "field": "companyName", "value": part}),
                lambda item: _said(item, "companyName") in wanted,
            )
        ]

    async def companies_on_web(self, domains: Iterable[str]) -> list[Company]:
        """The companies whose web address has one of these domains somewhere in it."""
        return [parse_company(item) for item in await self._with_one_of("Companies", "webAddress", domains)]

    async def services_with_sku(self, skus: Iterable[str]) -> list[Service]:
        """The services whose SKU has one of these somewhere in it. Raises VendorError where services have no SKU."""
        return [parse_service(item) for item in await self._with_one_of("Services", "sku", skus)]

    async def _begins(self, entity: str, field: str, prefix: str, limit: int, after: int) -> list[Item]:
        conditions: list[dict[str, Any]] = [{"op": "beginsWith", "field": field, "value": prefix}]
        if after:
            conditions.append({"op": "gt", "field": "id", "value": after})
        wanted = prefix.strip().casefold()
        found = await self._page(entity, conditions, limit)
        return _only(entity, found, lambda item: _said(item, field).startswith(wanted))

    async def _with_one_of(self, entity: str, field: str, words: Iterable[str]) -> list[Item]:
        found: list[Item] = []
        for part in _parts(sorted({word.casefold() for word in words})):
            conditions = [{"op": "contains", "field": field, "value": word} for word in part]
            items = await self._query(entity, {"op": "or", "items": conditions})
            found += _only(entity, items, lambda item, part=part: any(word in _said(item, field) for word in part))  # type: ignore[misc]  # mypy infers no lambda with a default
        return found


def _only(entity: str, items: list[Item], wanted: Callable[[Item], bool]) -> list[Item]:
    if not all(wanted(item) for item in items):
        raise VendorError(200, f"{entity}: rows that were not asked for")
    return items


def _said(item: Item, field: str) -> str:
    value = item.get(field)
    return value.strip().casefold() if isinstance(value, str) else ""


def _parts(words: Sequence[str]) -> list[list[str]]:
    return [list(words[start : start + _ALTERNATIVES]) for start in range(0, len(words), _ALTERNATIVES)]
