"""Signing in as the user who gave the consent: the stored refresh token is exchanged, and its successor kept safe.

Each exchange brings a new refresh token. Entra ID documents that the old one stays valid, but no answer says so, and
the store must never be left with a dead one. So the first exchange after a consent is made like this, under a lease:

    load T0 ── exchange ──▶ T1 ── save T1 ── exchange T0 once more ──▶ accepted: old tokens live on, remembered
                                                                 └──▶ refused:  an old token dies, remembered

Where old tokens live on, instances exchange freely, and one of them saves its newest token once the stored one is older
than a day. Where they die, or as long as nobody knows, every exchange is loaded, made and saved under the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from shared import telemetry
from shared.domain.errors import CspError, Misconfigured, RetryLater
from shared.partner_center.authority import Authority, Grant, SignInRefused
from shared.partner_center.refresh_tokens import RefreshToken, RefreshTokens
from shared.storage.coordination import Lease

log = logging.getLogger(__name__)

VENDOR = "partner_center"
LIVES_ON, DIES = "lives_on", "dies"
_LEASE = _FACT = "partner_center_refresh_token"
_LEASE_TIME = timedelta(seconds=90)  # two exchanges and a save, each with its own time limit
_POLL_SECONDS = 0.25
_WRITE_BACK_AFTER = timedelta(days=1)
_SLOWEST_SAVE = 60.0


class Leases(Protocol):
    """What the rotation needs of `shared.storage.coordination`."""

    async def acquire(self, name: str, owner: str, *, now: datetime, expires: datetime) -> Lease | None:
        """Take a lease that is free."""
        ...

    async def release(self, lease: Lease, *, now: datetime) -> None:
        """Give it back."""
        ...

    async def fact(self, name: str) -> str:
        """What was found out."""
        ...

    async def remember(self, name: str, value: str) -> None:
        """Keep what was found out."""
        ...

    async def resume(self, vendor: str) -> None:
        """End a stop before its time."""
        ...


class UserSignIn:
    """The sign-in of a user by a stored refresh token, for one process among several."""

    def __init__(
        self,
        authority: Authority,
        store: RefreshTokens,
        leases: Leases,
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._authority = authority
        self._store = store
        self._leases = leases
        self._now = now
        self._sleep = sleep
        self._owner = str(uuid.uuid4())
        self._seen = ""  # the stored token, as this process saw it last
        self._newest = ""  # the newest token that this process got, descended from that one
        self._saving: asyncio.Task[None] | None = None

    async def grant(self) -> Grant:
        """An access token. Raises Misconfigured where a person has to sign in (again), RetryLater."""
        if await self._leases.fact(_FACT) == LIVES_ON:
            return await self._freely()
        async with self._alone():
            return await self._exchange_and_save()

    async def superseded(self) -> bool:
        """Whether the store holds another token than the one that this process works with."""
        try:
            stored = await self._store.load()
        except CspError:
            return False
        return stored is not None and stored.value != self._seen

    async def adopt(self, refresh_token: str) -> None:
        """Store the token of a new consent; what was known about the old one's kind is forgotten, its stop ends."""
        async with self._alone():
            await self._save(refresh_token)
            await self._leases.remember(_FACT, "")
        await self._leases.resume(VENDOR)

    async def _freely(self) -> Grant:
        stored, _, grant = await self._redeem()
        if self._now() - stored.stored_at > _WRITE_BACK_AFTER and self._newest != stored.value:
            await self._write_back(stored)
        return grant

    async def _exchange_and_save(self) -> Grant:
        known = await self._leases.fact(_FACT)  # the holder before us may have found it out
        stored, presented, grant = await self._redeem()
        if self._newest == stored.value or (known == LIVES_ON and self._now() - stored.stored_at <= _WRITE_BACK_AFTER):
            return grant
        try:
            await self._save(self._newest)
        except CspError as error:
            telemetry.tell(log, "refresh_token_kept_in_memory", level=logging.WARNING, error=error)
            self._keep_saving()
            return grant
        if not known:
            await self._find_out(presented)
        return grant

    async def _redeem(self) -> tuple[RefreshToken, str, Grant]:
        """Exchange the newest token of our own, else the stored one; a token that is refused is tried once."""
        refused: dict[str, SignInRefused] = {}
        while True:
            stored = await self._store.load()
            if stored is None:
                raise Misconfigured("no refresh token for Partner Center is stored; run the consent command")
            if stored.value != self._seen:
                self._seen, self._newest = stored.value, ""  # somebody has stored another one: ours is of the past
            presented = next((token for token in (self._newest, stored.value) if token and token not in refused), "")
            if not presented:
                await self._leases.remember(_FACT, "")
                raise refused[stored.value]
            try:
                grant = await self._authority.redeem(presented)
            except SignInRefused as error:
                if not error.about_the_token:
                    raise
                refused[presented] = error
                continue
            self._newest = grant.refresh_token or presented
            return stored, presented, grant

    async def _save(self, value: str) -> None:
        saved = await self._store.save(value)
        self._seen = self._newest = saved.value

    async def _find_out(self, used: str) -> None:
        """Present a token that was exchanged already, once its successor is safe: does it live on?"""
        try:
            await self._authority.redeem(used)
        except SignInRefused as error:
            if error.about_the_token:
                await self._leases.remember(_FACT, DIES)
        except CspError as error:
            telemetry.tell(log, "refresh_token_life_unknown", error=error)
        else:
            await self._leases.remember(_FACT, LIVES_ON)

    async def _write_back(self, stored: RefreshToken) -> None:
        """Save our newest token in the place of the old one, unless another instance does or has done so."""
        try:
            lease = await self._acquire()
            if lease is None:
                return
            try:
                present = await self._store.load()
                if present is not None and present.value == stored.value:
                    await self._save(self._newest)
            finally:
                await self._leases.release(lease, now=self._now())
        except CspError as error:
            telemetry.tell(log, "refresh_token_not_written_back", level=logging.WARNING, error=error)

    def _keep_saving(self) -> None:
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_until_it_is_safe())

    async def _save_until_it_is_safe(self) -> None:
        """The stored token may be dead: only this process has a living one."""
        pause = 1.0
        while True:
            await self._sleep(pause)
            pause = min(pause * 2, _SLOWEST_SAVE)
            with contextlib.suppress(CspError):
                async with self._alone():
                    stored = await self._store.load()
                    if stored is None or stored.value != self._seen:
                        return  # a consent has put another token there
                    if stored.value != self._newest:
                        await self._save(self._newest)
                # Others may have found the stored token dead meanwhile, and have stopped
                await self._leases.resume(VENDOR)
                telemetry.tell(log, "refresh_token_stored")
                return

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the lease; raises RetryLater where somebody else holds it for too long."""
        until = self._now() + 2 * _LEASE_TIME
        while (lease := await self._acquire()) is None:
            if self._now() > until:
                raise RetryLater("another instance is exchanging the refresh token")
            await self._sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            with contextlib.suppress(RetryLater):
                await self._leases.release(lease, now=self._now())

    async def _acquire(self) -> Lease | None:
        now = self._now()
        return await self._leases.acquire(_LEASE, self._owner, now=now, expires=now + _LEASE_TIME)
