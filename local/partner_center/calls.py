"""One authenticated request as the endpoints see it: its path, query and body.

`api` makes the calls; the endpoint modules read them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from local.partner_center.access import Caller
from local.partner_center.errors import ApiError
from local.partner_center.given import Given, is_guid


@dataclass(frozen=True)
class Call:
    """One authenticated request with its body read."""

    request: Request
    caller: Caller
    body: bytes

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def customer_id(self) -> str:
        """The customer in the path.

        Raises:
            ApiError: 400/900118 it is no GUID.
        """
        customer_id = self.path("customer")
        if not is_guid(customer_id):
            raise ApiError(400, 900118, "Invalid Customer ID.")
        return customer_id

    @property
    def continuation(self) -> str | None:
        """The continuation token, if the header is there."""
        return self.request.headers.get("MS-ContinuationToken")

    def query(self, *names: str) -> str | None:
        """The first of these query parameters that is there; an underscore and a hyphen count for nothing."""
        given = {_plain(name): value for name, value in self.request.query_params.items()}
        return next((given[_plain(name)] for name in names if given.get(_plain(name))), None)

    def json(self) -> Any:
        """The parsed body.

        Raises:
            ApiError: 400/800002 it is not JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ApiError(400, 800002, "The request input is invalid: the body is not JSON.") from error

    def given(self) -> Given:
        """The body as an object.

        Raises:
            ApiError: 400/800002 it is not one.
        """
        return Given(self.json())


Endpoint = Callable[[Call], Response]


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
