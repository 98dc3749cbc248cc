"""A broker in memory with peek-lock: deliveries are counted, locks run out, the third failure is a dead letter.

It can be told to lose completions (so that everything is delivered twice), to deliver the newest first, to be away,
and to forget everything. Fulfils `QueuePort` for the application; the rest is for the host of the world.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import RetryLater
from shared.messaging.envelope import BrokerMessage, Delivery
from tests.world.clock import Clock

MAX_DELIVERY_COUNT = 3
LOCK = timedelta(seconds=30)


@dataclass(frozen=True)
class Message:
    """A message in the queue. While its holder lives, the holder's host renews the lock."""

    sequence_number: int
    message_id: str
    body: bytes
    enqueued_at: datetime
    count: int = 0
    holder: str | None = None
    locked_until: datetime | None = None
    completions_to_lose: int = 0

    @property
    def delivery(self) -> Delivery:
        return Delivery(self.body, self.sequence_number, self.count, self.enqueued_at)


class Broker:
    """One queue and its dead-letter queue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = 0
        self._queue: dict[int, Message] = {}
        self._dead: dict[int, Message] = {}
        self.away = False
        self.copies = 1
        self.lost_completions = 0
        self.newest_first = False
        self.forgot = False
        self.sent = 0

    async def send(self, identifier: str, body: bytes) -> None:
        """See QueuePort."""
        if self.away:
            raise RetryLater("the queue does not answer")
        self.sent += 1
        for _ in range(self.copies):
            self._numbers += 1
            self._queue[self._numbers] = Message(
                self._numbers, identifier, body, self._clock.now(), completions_to_lose=self.lost_completions
            )

    async def dead_letters(self, limit: int, *, after: int = 0) -> list[BrokerMessage]:
        """See QueuePort."""
        if self.away:
            raise RetryLater("the queue does not answer")
        following = [self._dead[number] for number in sorted(self._dead) if number > after]
        return [_as_peeked(message) for message in following[:limit]]

    async def sweep(self, remove: Callable[[BrokerMessage], Awaitable[bool]], *, through: int) -> int:
        """See QueuePort."""
        if self.away:
            raise RetryLater("the queue does not answer")
        reached = [self._dead[number] for number in sorted(self._dead) if number <= through]
        stale = [message for message in reached if await remove(_as_peeked(message))]
        for message in stale:
            self._dead.pop(message.sequence_number, None)
        return len(stale)

    def receive(self, holder: str, *, newest_first: bool | None = None) -> Message | None:
        """Lock one message that is free, the oldest first unless told otherwise."""
        self._expire()
        free = [message for message in self._queue.values() if message.holder is None]
        if not free:
            return None
        backwards = self.newest_first if newest_first is None else newest_first
        chosen = free[-1] if backwards else free[0]
        locked = replace(chosen, count=chosen.count + 1, holder=holder)
        self._queue[locked.sequence_number] = locked
        return locked

    def complete(self, message: Message) -> None:
        """Remove a message, unless its lock was lost or this completion gets lost on its way."""
        held = self._held(message)
        if held is not None and held.completions_to_lose > 0:
            self._free(replace(held, completions_to_lose=held.completions_to_lose - 1))
        elif held is not None:
            del self._queue[held.sequence_number]

    def abandon(self, message: Message) -> None:
        """Give a message back; after the last delivery it is a dead letter."""
        held = self._held(message)
        if held is not None:
            self._free(held)

    def holder_died(self, holder: str) -> None:
        """Nobody renews these locks any more."""
        for message in [message for message in self._queue.values() if message.holder == holder]:
            self._queue[message.sequence_number] = replace(message, locked_until=self._clock.now() + LOCK)

    def forget(self) -> None:
        """The broker lost what it had."""
        self._queue.clear()
        self._dead.clear()
        self.forgot = True

    def dead_bodies(self) -> list[bytes]:
        """What lies in the dead-letter queue."""
        return [message.body for message in self._dead.values()]

    def waiting(self) -> int:
        """Messages that are to be delivered now or once their lock runs out."""
        return len(self._queue)

    def next_unlock(self) -> datetime | None:
        """When the first lock of a dead holder runs out."""
        return min((message.locked_until for message in self._queue.values() if message.locked_until), default=None)

    def _held(self, message: Message) -> Message | None:
        present = self._queue.get(message.sequence_number)
        same = present is not None and present.holder == message.holder and present.count == message.count
        return present if same else None

    def _expire(self) -> None:
        for message in list(self._queue.values()):
            if message.locked_until is not None and message.locked_until <= self._clock.now():
                self._free(message)

    def _free(self, message: Message) -> None:
        freed = replace(message, holder=None, locked_until=None)
        if freed.count >= MAX_DELIVERY_COUNT:
            self._queue.pop(freed.sequence_number, None)
            self._dead[freed.sequence_number] = freed
        else:
            self._queue[freed.sequence_number] = freed


def _as_peeked(message: Message) -> BrokerMessage:
    return BrokerMessage(
        sequence_number=message.sequence_number,
        message_id=message.message_id,
        enqueued_at=message.enqueued_at,
        reason="MaxDeliveryCountExceeded",
        description="",
        body=message.body,
    )
