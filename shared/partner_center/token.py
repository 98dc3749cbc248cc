"""The bearer token of this process for Partner Center, and the stop where only a person can help.

One token is kept until five minutes before its end, and renewed by one exchange for all who wait for it. A sign-in that
is refused is remembered as a stop in `coordination`: every instance fails its calls at once with the reason, until the
stop runs out or a consent ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from shared import telemetry
from shared.domain.errors import Misconfigured, RetryLater
from shared.partner_center.authority import Authority, Grant
from shared.partner_center.claims import Expected
from shared.partner_center.rotation import VENDOR

log = logging.getLogger(__name__)

_EARLY = timedelta(minutes=5)
_LOOK_EVERY = timedelta(seconds=2)  # so long another instance's stop may stay unnoticed
_FRUITLESS = timedelta(minutes=1)


class SignIn(Protocol):
    """A way to an access token."""

    async def grant(self) -> Grant:
        """A new access token. Raises Misconfigured, RetryLater."""
        ...

    async def superseded(self) -> bool:
        """Whether a newer sign-in than the one that was used is there by now."""
        ...


class Stops(Protocol):
    """What the token needs of `shared.storage.coordination`."""

    async def stopped_until(self, vendor: str) -> tuple[datetime, str] | None:
        """Until when calls are stopped, and why."""
        ...

    async def stop(self, vendor: str, until: datetime, reason: str) -> None:
        """Stop calls."""
        ...

    async def resume(self, vendor: str) -> None:
        """End a stop before its time."""
        ...


class AppSignIn:
    """The application itself; there is nothing to keep between two tokens."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def grant(self) -> Grant:
        """See SignIn."""
        return await self._authority.as_application()

    async def superseded(self) -> bool:
        """See SignIn."""
        return False


class Tokens:
    """The token of one process. `pause` is how long a refused sign-in stops all calls."""

    def __init__(
        self, sign_in: SignIn, stops: Stops, expected: Expected, *, now: Callable[[], datetime], pause: timedelta
    ) -> None:
        self._sign_in = sign_in
        self._stops = stops
        self._expected = expected
        self._now = now
        self._pause = pause
        self._token = ""
        self._fresh_until: datetime | None = None
        self._renewal: asyncio.Task[str] | None = None
        self._stopped = False
        self._look_at: datetime | None = None
        self._fruitless_until: datetime | None = None

    async def token(self, *, rejected: str = "") -> str:
        """A token that is good for at least five minutes, and another one than Partner Center has just rejected.

        Raises:
            Misconfigured: the sign-in is refused, or calls are stopped because it was.
            RetryLater: the authority, Key Vault or table storage could not be asked.
        """
        await self._require_no_stop()
        if self._token and self._token != rejected and self._is_fresh():
            return self._token
        if rejected and self._fruitless_until is not None and self._now() < self._fruitless_until:
            raise Misconfigured("Partner Center does not accept the token (401), nor a new one a moment ago")
        return await self._renewed()

    async def refused(self, token: str, reason: str, *, lasting: bool) -> None:
        """Partner Center does not accept a token, and a new one of the same sign-in helps as little.

        `lasting` stops all calls, and returns normally only where a newer sign-in is there by now. What is not lasting
        may be about one resource: others go on, but for a minute no token is renewed because of a rejection.

        Raises:
            Misconfigured: with the reason.
        """
        if not lasting:
            self._fruitless_until = self._now() + _FRUITLESS
        elif token not in ("", self._token) and not self._stopped:
            return  # somebody else was faster, and there is another token by now
        elif await self._remember(reason):
            return
        raise Misconfigured(reason)

    def _is_fresh(self) -> bool:
        return self._fresh_until is not None and self._now() < self._fresh_until

    async def _require_no_stop(self) -> None:
        now = self._now()
        if not self._stopped and self._look_at is not None and now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        found = await self._stops.stopped_until(VENDOR)
        self._stopped = found is not None and now < found[0]
        if found is not None and self._stopped:
            self._token = ""  # the sign-in that ends the stop is another one
            raise Misconfigured(found[1])

    async def _renewed(self) -> str:
        """One exchange for all who wait. A caller that gives up does not end it: its refresh token would be lost."""
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._renewal_over)
        return await asyncio.shield(self._renewal)

    def _renewal_over(self, renewal: asyncio.Task[str]) -> None:
        self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # it was told to those who waited, if there still are any

    async def _renew(self) -> str:
        try:
            return await self._exchange()
        except Misconfigured as error:
            if not await self._remember(error.reason):
                raise
            return await self._exchange()

    async def _exchange(self) -> str:
        asked = self._now()
        grant = await self._sign_in.grant()
        self._expected.check(grant.access_token)
        self._token = grant.access_token
        self._fresh_until = asked + grant.lifetime - _EARLY
        return self._token

    async def _remember(self, reason: str) -> bool:
        """Stop all calls, unless a newer sign-in was stored while this one was tried: then say True."""
        self._token = ""
        if self._stopped:
            return False
        telemetry.tell(log, "partner_center_stopped", level=logging.ERROR, reason=reason)
        try:
            await self._stops.stop(VENDOR, self._now() + self._pause, reason)
            self._stopped = True
            # Looked at after the stop was written: a consent that comes later ends the stop itself
            if not await self._sign_in.superseded():
                return False
            await self._stops.resume(VENDOR)
            self._stopped = False
        except RetryLater as error:
            telemetry.tell(log, "stop_not_stored", level=logging.WARNING, error=error)
            return False
        return True
