"""Remembers the answers of writes by MS-RequestId, so that a write repeated with the same one has one effect.

What Microsoft does with such a repetition is not documented beyond "idempotency key"; the switch `msRequestIdReplay`
decides.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from local.partner_center.errors import ApiError

if TYPE_CHECKING:
    from starlette.responses import Response

    from local.simulation.switches import Switches

REMEMBERED = 20_000


class Replay:
    """First answers by caller, path and request id; the oldest are forgotten first."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._answers: OrderedDict[tuple[str, str, str], Response] = OrderedDict()

    def earlier_answer(self, tenant: str, path: str, request_id: str | None) -> Response | None:
        """The answer to give without acting, if this write was made before."""
        found = self._answers.get((tenant, path.lower(), request_id.lower())) if request_id else None
        if found is None or self._switches["msRequestIdReplay"] == "ignored":
            return None
        if self._switches["msRequestIdReplay"] == "error":
            refused = ApiError(409, 800060, "The request with this MS-RequestId is already in progress.")
            as_text = self._switches["errorCodeType"] == "string"
            return JSONResponse(refused.body(code_as_text=as_text), refused.status)
        return found

    def remember(self, tenant: str, path: str, request_id: str | None, answer: Response) -> None:
        """Keep the answer of a write."""
        if not request_id:
            return
        self._answers[tenant, path.lower(), request_id.lower()] = answer
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
