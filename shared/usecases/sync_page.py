"""Read the customers of one page, five at a time, and say in a row how far it is.

A customer whose listing has the very bytes of the last run, and who was not touched since, needs no table at all. One
with other bytes that say the same needs none either. Any other is looked at (`shared.usecases.look`).

Prints are trusted only on a page that nobody has died on: a dead process may have written rows that the prints of the
last run know nothing of. So the page's row says that it is begun before the first of its customers is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from shared import telemetry
from shared.domain.errors import CspError, Denied, Misconfigured, NotFound, RetryLater, VendorError
from shared.domain.sync_run import CLOSED, DONE, PENDING, UNREAD, Counts, Listed, PageDone, PageList, Run
from shared.ports import SubscriptionListing
from shared.storage.sync_runs import progress_of
from shared.usecases.app import App
from shared.usecases.closed import keep_problem
from shared.usecases.look import Reading, look
from shared.usecases.pace import Pace, TooFar
from shared.usecases.snapshots import canonical_print, raw_print
from shared.usecases.sync_held import Held, StandStill

log = logging.getLogger(__name__)

_FAILURES_IN_A_ROW = 10  # then it is Partner Center that is away, not a customer
_DENIALS_IN_A_ROW = 25  # then it is our permission that is missing, not a relationship
_THROTTLED_TRIES = 4


async def read_page(app: App, held: Held, pace: Pace, stop_at: datetime) -> None:
    """Read the page that is next. Raises StandStill, TooFar, RunLost; RetryLater where storage is away."""
    (page, done), touched = await asyncio.gather(_page(app, held), app.sync.touched.all())
    await _PageReader(app, held, pace, page, done, touched).read(stop_at)


async def _page(app: App, held: Held) -> tuple[PageList, PageDone | None]:
    page, held.only_page = held.only_page, None
    return (page, None) if page else await app.sync.runs.page(held.run.id, held.run.next_page)


class _PageReader:
    """One page while it is read."""

    def __init__(
        self, app: App, held: Held, pace: Pace, page: PageList, done: PageDone | None, touched: dict[str, str]
    ) -> None:
        self._app = app
        self._held = held
        self._pace = pace
        self._page = page
        self._trusted = held.run.round == 0 and (done is None or done.clean)
        self._touched = touched
        self._number = held.run.next_page
        self._wanted = UNREAD if held.run.round else PENDING
        begun = done or PageDone.begun(len(page.customers))
        self._states = list(begun.states)
        self._prints = list(begun.prints)
        self._gone, self._looked_at = dict(begun.gone), dict(begun.looked_at)
        self._counts = Counts()
        self._saved_at = app.now()
        self._saving, self._beginning = asyncio.Lock(), asyncio.Lock()
        self._begun = False
        self._open = self._states.count(self._wanted)  # places that this reading has not come to yet
        self._failed = self._denied = 0  # in a row
        self._stop: Exception | None = None

    async def read(self, stop_at: datetime) -> None:
        """Read what is left of the page; the row says how far it came, however it ends."""
        places = iter([place for place, state in enumerate(self._states) if state == self._wanted])
        workers = [self._work(places, stop_at) for _ in range(self._app.policy.at_once)]
        results = await asyncio.gather(*workers, return_exceptions=True)
        failure = next((result for result in results if isinstance(result, BaseException)), None)
        if failure is not None and not isinstance(failure, StandStill | TooFar):
            raise failure
        run = self._held.run
        if failure is None and self._open == 0:
            run = replace(run.after_page(left=UNREAD in self._states), failures=0, problem="", stopped=False)
        await self._checkpoint(run, clean=True)
        if failure is not None:
            raise failure

    async def _begin(self) -> None:
        """Before the first row of this page is written."""
        async with self._beginning:
            if not self._begun:
                await self._checkpoint(self._held.run, clean=False)
                self._begun = True

    async def _checkpoint(self, run: Run, *, clean: bool) -> None:
        """Store how far the page is, together with the run and its counts."""
        async with self._saving:
            counts, self._counts = self._counts, Counts()
            done = PageDone("".join(self._states), tuple(self._prints), dict(self._gone), dict(self._looked_at), clean)
            await self._held.save(
                replace(run, counts=self._held.run.counts.plus(counts)), progress_of(run.id, self._number, done)
            )
            self._saved_at = self._app.now()

    async def _work(self, places: Iterator[int], stop_at: datetime) -> None:
        for place in places:
            if self._stop is not None or self._app.now() >= stop_at:
                return
            try:
                await self._one(place)
            except Exception as error:
                self._stop = self._stop or error
                raise
            if self._app.now() - self._saved_at >= self._app.policy.checkpoint and not self._saving.locked():
                await self._checkpoint(self._held.run, clean=not self._begun)

    async def _one(self, place: int) -> None:
        customer = self._page.customers[place]
        try:
            asked_at, listing = await self._ask(customer)
        except NotFound:
            await self._closed(place, "no_relationship", "Partner Center knows no relationship with this customer.")
        except Denied as error:
            self._denied += 1
            if self._denied >= _DENIALS_IN_A_ROW:
                until = self._app.now() + self._app.times.misconfigured
                raise StandStill(until, error.reason, stopped=True) from error
            await self._closed(place, "access_denied", error.reason)
        except VendorError as error:
            await keep_problem(self._app, customer, "unexpected_answer", str(error))
            self._unread(place)
        except Misconfigured as error:
            until = self._app.now() + self._app.times.misconfigured
            raise StandStill(until, error.reason, stopped=True) from error
        except RetryLater as error:
            self._failed += 1
            if self._failed >= _FAILURES_IN_A_ROW:
                until = self._app.now() + self._app.times.backoff(self._held.run.failures)
                raise StandStill(until, error.reason) from error
            self._unread(place)
        else:
            self._failed = self._denied = 0
            await self._compare(place, customer, listing, asked_at)

    async def _ask(self, customer: Listed) -> tuple[datetime, SubscriptionListing]:
        """One request, and after a complaint the same once more when everybody's wait is over."""
        for attempt in range(1, _THROTTLED_TRIES + 1):
            await self._pace.turn()
            asked_at = self._app.now()
            try:
                return asked_at, await self._app.listings.subscriptions(customer.id)
            except RetryLater as error:
                if error.after is None:
                    raise
                await self._pace.slow_down(error.after)
                if attempt == _THROTTLED_TRIES:
                    raise
        raise AssertionError("unreachable")

    async def _compare(self, place: int, customer: Listed, listing: SubscriptionListing, asked_at: datetime) -> None:
        raw = raw_print(customer.name, customer.domain, listing.fingerprint)
        fresh = self._trusted and customer.id not in self._touched
        if fresh and customer.raw == raw:
            self._read(place, (raw, customer.canonical), Counts(customers=1, unchanged=1))
            return
        try:
            items = listing.items()
        except RetryLater:
            self._unread(place)
            return
        canonical = canonical_print(customer.name, customer.domain, items)
        if fresh and customer.canonical == canonical:
            self._read(place, (raw, canonical), Counts(customers=1, unchanged=1))
            return
        reading = Reading(
            customer.id,
            items,
            asked_at,
            listing.observed_at,
            name=customer.name,
            domain=customer.domain,
            touch=False,
        )
        await self._begin()
        try:
            looked = await look(self._app, reading)
        except CspError:
            raise
        except Exception as error:  # noqa: BLE001 - one customer's trouble keeps no other from being read
            telemetry.tell(log, "customer_not_looked_at", level=logging.ERROR, error=error, customer=customer.id)
            self._unread(place)
            return
        if looked.gone:
            self._gone[customer.id] = looked.gone
            self._looked_at[customer.id] = listing.observed_at
        if looked.settled and customer.id in self._touched:
            await self._app.sync.touched.looked_at(customer.id, self._touched[customer.id])
        counts = Counts(
            customers=1,
            subscriptions=looked.subscriptions,
            written=looked.written,
            detected=len(looked.operations),
            unreadable=looked.unreadable,
        )
        self._read(place, (raw, canonical) if looked.settled else ("", ""), counts)

    async def _closed(self, place: int, code: str, sentence: str) -> None:
        await keep_problem(self._app, self._page.customers[place], code, sentence)
        self._settle(place, CLOSED, Counts(customers=1, closed=1))

    def _read(self, place: int, prints: tuple[str, str], counts: Counts) -> None:
        self._prints[place] = prints
        self._settle(place, DONE, counts)

    def _unread(self, place: int) -> None:
        self._settle(place, UNREAD, Counts(unread=1))

    def _settle(self, place: int, state: str, counts: Counts) -> None:
        if self._states[place] == UNREAD:
            counts = replace(counts, unread=counts.unread - 1)
        self._states[place] = state
        self._open -= 1
        self._counts = self._counts.plus(counts)
