"""Moments, days, money, and pages of a list."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, NotRequired, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

T = TypeVar("T")

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="ISO 8601 in UTC")]
Day = Annotated[str, Field(json_schema_extra={"format": "date"}, description="A date in the partner's time zone")]
Money = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="A decimal as text")]
Duration = Annotated[str, Field(json_schema_extra={"format": "duration"}, description="ISO 8601")]
Badge = Literal["synced", "pending", "out_of_sync", "not_mapped"]
Scheduled = Annotated[dict[str, Any], Field(description="Partner Center's own instructions for the next term")]


class Page(TypedDict, Generic[T]):
    """A page of a list. `nextLink` is the path of the next one; without it this is the last."""

    value: list[T]
    nextLink: NotRequired[str]


class Link(TypedDict):
    """Where the resource itself is."""

    self: str
