"""Problems (RFC 9457) with every member that may stand in one."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from functions.http_actions.answers.common import Moment
from functions.http_actions.answers.operations import Operation
from shared.domain.actions import Alternative, Difference
from shared.domain.preview import Loss
from shared.domain.reasons import Reason


class FieldError(TypedDict):
    """A wrong field by its name, such as `items[3].quantity`."""

    field: str
    message: str
    row: NotRequired[Annotated[int, Field(description="Of a sheet; the header is row 1")]]
    column: NotRequired[str]


class Problem(TypedDict):
    """RFC 9457. `code` is stable; further members say what is in the way and what remains possible."""

    type: Annotated[str, Field(pattern="^urn:csp-functions:problem:[a-z0-9_]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: str
    detail: str
    instance: Annotated[str, Field(description="The path of the request")]
    traceId: Annotated[str, Field(description="Finds in the log what happened")]
    errors: NotRequired[list[FieldError]]
    until: NotRequired[Moment]
    allowedFrom: NotRequired[Moment]
    alternatives: NotRequired[list[Alternative]]
    differences: NotRequired[list[Difference]]
    losses: NotRequired[list[Loss]]
    reasons: NotRequired[list[Reason]]
    reason: NotRequired[str]
    operation: NotRequired[Annotated[str | Operation, Field(description="Its id, or as it is where it goes on")]]
    operations: NotRequired[list[str]]
    partnerCenterCode: NotRequired[str]
    partnerCenterText: NotRequired[str]
    reading: NotRequired[str]
