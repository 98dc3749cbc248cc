"""Queries: filter, pages of at most 500 ascending by id, counts, single items and children of a parent."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from local.autotask.errors import RuleError
from local.autotask.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from local.autotask.entities import Entity
    from local.autotask.tables import Row, Source

PAGE_SIZE = 500


class Query:
    """One query of an entity: what the body (or `search`) asks for."""

    def __init__(self, entity: Entity, source: Source, wanted: Any) -> None:
        """Parse a query.

        Raises:
            RuleError: see `filters.Filter`; or an unknown field to include.
        """
        if not isinstance(wanted, dict):
            raise RuleError("Invalid query syntax. A filter is required.")
        named = {str(key).lower(): value for key, value in wanted.items()}
        self._entity = entity
        self._source = source
        self._filter = Filter(entity, named.get("filter"))
        self._include = _included(entity, named.get("includefields"))
        size = named.get("maxrecords")
        self._size = min(max(size, 1), PAGE_SIZE) if isinstance(size, int) else PAGE_SIZE

    def count(self) -> dict[str, Any]:
        """Answer the number of matching rows."""
        return {"queryCount": sum(1 for _ in self._matching())}

    def page(self, url: str, paging: Mapping[str, Any] | None = None, search: str | None = None) -> dict[str, Any]:
        """Answer one page.

        Args:
            url: the entity's query URL, without `/next`.
            paging: the parsed `paging` parameter of a page URL.
            search: the `search` parameter of a GET query, which its page URLs repeat.
        """
        previous: list[int] = []
        size = self._size
        if paging is not None:
            previous, after, size = _anchors(paging)
            self._filter.selection.after = max(self._filter.selection.after, after)
        found = list(islice(self._matching(), size + 1))
        items = found[:size]
        anchor = paging["nextIds"][-1] if paging and paging["nextIds"] else 0
        next_url = prev_url = None
        if len(found) > size:
            anchors = [*previous, anchor] if paging is not None else [0]
            next_url = _page_url(url, size, anchors, [items[-1]["id"]], search)
        if previous:
            prev_url = _page_url(url, size, previous[:-1], previous[-1:], search)
        details = {"count": len(items), "requestCount": size, "prevPageUrl": prev_url, "nextPageUrl": next_url}
        return {"items": self._shown(items), "pageDetails": details}

    def _matching(self) -> Iterator[Row]:
        after = self._filter.selection.after
        for row in self._source.select(self._filter.selection):
            if row["id"] > after and self._filter.matches(row):
                yield row

    def _shown(self, items: list[Row]) -> list[Row]:
        if self._include is not None:
            return [{name: item[name] for name in self._include if name in item} for item in items]
        return without_empty_udfs(items)


def without_empty_udfs(items: list[Row]) -> list[Row]:
    """Leave `userDefinedFields` out everywhere when no row has a value in it."""
    if not items or "userDefinedFields" not in items[0] or any(item["userDefinedFields"] for item in items):
        return items
    return [{name: value for name, value in item.items() if name != "userDefinedFields"} for item in items]


def children(rows: Iterable[Row], parent_field: str, parent_id: int) -> dict[str, Any]:
    """Answer the children of a parent, first page only."""
    items = list(islice((row for row in rows if row[parent_field] == parent_id), PAGE_SIZE))
    details = {"count": len(items), "requestCount": PAGE_SIZE, "prevPageUrl": None, "nextPageUrl": None}
    return {"items": items, "pageDetails": details}


def parse_paging(text: str) -> dict[str, Any]:
    """Return the `paging` parameter of a page URL.

    Raises:
        RuleError: it is not one of ours.
    """
    try:
        paging = json.loads(text)
        _anchors(paging)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RuleError("Invalid paging parameter.") from error
    return dict(paging)


def _anchors(paging: Mapping[str, Any]) -> tuple[list[int], int, int]:
    previous = [int(one) for one in paging["previousIds"]]
    after = int(paging["nextIds"][-1]) if paging["nextIds"] else 0
    return previous, after, min(max(int(paging["pageSize"]), 1), PAGE_SIZE)


def _page_url(url: str, size: int, previous: list[int], following: list[int], search: str | None) -> str:
    paging = json.dumps({"pageSize": size, "previousIds": previous, "nextIds": following}, separators=(",", ":"))
    parameters = {"paging": paging} if search is None else {"paging": paging, "search": search}
    return f"{url}/next?{urlencode(parameters)}"


def _included(entity: Entity, wanted: Any) -> list[str] | None:
    if not wanted:
        return None
    if not isinstance(wanted, list):
        raise RuleError("Invalid query syntax. IncludeFields must be a list.")
    names = []
    for name in wanted:
        field = entity.fields.get(str(name).lower())
        if field is None:
            raise RuleError(f"Unable to find {name} in the {entity.singular} Entity")
        names.append(field.name)
    return names
