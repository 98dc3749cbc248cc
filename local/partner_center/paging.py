"""Collections and continuation tokens, as opaque and as awkward as Partner Center's.

Tokens have commas and slashes and are bound to the query. Used for customers and audit records; subscriptions of a
customer come in one answer.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from local.partner_center.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_PAGE = 500
DEFAULT_PAGE = 100


def read_size(text: str | None) -> int:
    """The page size; absent or 0 is the default, more than 500 is 500.

    Raises:
        ApiError: 400/3000 it is no number.
    """
    if not text:
        return DEFAULT_PAGE
    if not text.isdecimal():
        raise ApiError(400, 3000, "The property 'size' is invalid.")
    return min(int(text) or DEFAULT_PAGE, LARGEST_PAGE)


def read_position(query: str, token: str | None) -> int:
    """The position that a continuation token of this query stands for; without a token 0.

    Raises:
        ApiError: 400/800002 the token is not one of ours, or of another query.
    """
    if token is None:
        return 0
    mark, _, rest = token.partition("/,")
    position = rest.partition("/")[0]
    if mark != _mark(query) or not position.isdecimal():
        raise ApiError(400, 800002, "The continuation token is invalid.")
    return int(position)


def continuation_token(query: str, position: int) -> str:
    """The token for the page of this query that starts at the position."""
    return f"{_mark(query)}/,{position}/AQAA,A=="


def collection(
    items: Sequence[dict[str, Any]], self_uri: str, *, next_uri: str | None = None, token: str | None = None
) -> dict[str, Any]:
    """The envelope of a list; with `token` there is a next page at `next_uri`."""
    links: dict[str, Any] = {"self": {"uri": self_uri, "method": "GET", "headers": []}}
    envelope: dict[str, Any] = {"totalCount": len(items), "items": list(items), "links": links}
    if token is not None:
        header = {"key": "MS-ContinuationToken", "value": token}
        links["next"] = {"uri": next_uri, "method": "GET", "headers": [header]}
        envelope["continuationToken"] = token
    return envelope | {"attributes": {"objectType": "Collection"}}


def past_the_end() -> ApiError:
    """The answer to a page behind the last one, where the switch `pagePastEnd` lets a link lead there."""
    return ApiError(400, 2000, "The requested page is past the end of the collection.")


def _mark(query: str) -> str:
    return base64.b64encode(hashlib.sha256(query.encode()).digest()[:9]).decode()
