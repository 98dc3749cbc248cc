"""The simulators and the storage that a sync is measured on, with what changes there and what reaches them."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any

import httpx

from bench.worker import result_of
from local.stack import Stack, StackOptions

EACH = 10  # subscriptions of a customer
FIXED = 3  # customers that the simulator always has
_UNPACED = 600_000  # requests a minute: as fast as it goes
_WAIT_SECONDS = 60.0


class Vendors:
    """A stack without a functions host, with generated customers."""

    def __init__(self, size: int) -> None:
        self._stack = Stack(
            StackOptions(
                hosts=0, storage_in_memory=True, seed_customers=size, subscriptions_per_customer=EACH, first_sync=False
            )
        )
        self._seats = 0

    def __enter__(self) -> Vendors:
        self._stack.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def change(self, every: int) -> None:
        """Give all subscriptions of every n-th customer other seats than before."""
        self._seats += 1
        body = {"every": every, "seats": self._seats}
        url = f"{self._stack.ready['partnerCenter']}/_control/state/generated"
        httpx.post(url, json=body, timeout=_WAIT_SECONDS).raise_for_status()

    def full(self, pace: float) -> dict[str, Any]:
        """A full sync and the `requests` that reached Partner Center meanwhile, the warm-up's one aside."""
        before = self._requests()
        settings = {
            **self._stack.ready["settings"],
            "PARTNER_CENTER_REQUESTS_PER_MINUTE": str(pace or _UNPACED),
            "LEASE_SECONDS": "120",
        }
        result = _worker(what="full", settings=settings)
        return {**result, "requests": self._requests() - before - 1}

    def bare(self, pace: float) -> dict[str, Any]:
        """The bare loop."""
        url = self._stack.ready["partnerCenter"]
        return _worker(what="bare", url=url, token=self._token(), perMinute=pace, settings={})

    def _requests(self) -> int:
        url = f"{self._stack.ready['partnerCenter']}/_control/requests"
        answer = httpx.get(url, params={"limit": 0}, timeout=_WAIT_SECONDS)
        return int(answer.raise_for_status().json()["total"])

    def _token(self) -> str:
        settings = self._stack.ready["settings"]
        form = {
            "grant_type": "client_credentials",
            "client_id": settings["PARTNER_CENTER_CLIENT_ID"],
            "client_secret": settings["PARTNER_CENTER_CLIENT_SECRET"],
            "scope": settings["PARTNER_CENTER_SCOPE"],
        }
        url = f"{settings['ENTRA_AUTHORITY']}/{settings['PARTNER_CENTER_TENANT']}/oauth2/v2.0/token"
        trust = ssl.create_default_context(cafile=settings["ENTRA_CA_FILE"])
        return str(httpx.post(url, data=form, verify=trust).raise_for_status().json()["access_token"])


def _worker(**wanted: Any) -> dict[str, Any]:
    return result_of("bench.sync_worker", wanted)
