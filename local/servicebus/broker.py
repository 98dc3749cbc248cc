"""What a Service Bus queue does, free of the wire: peek-lock, redelivery, dead-lettering, peek.

Time comes from an injected clock. Consumers are links (`links.py`) or, in tests, anything with credit. All of it runs
in one thread and nothing awaits, so every call is atomic.
"""

from __future__ import annotations

import heapq
import uuid
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Protocol

from local.servicebus.errors import AmqpError, EntityNotFoundError, LockLostError
from local.servicebus.message import Content, DeadLettering, Lock, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

DEAD_LETTER_QUEUE = "/$deadletterqueue"
MAX_DELIVERY_COUNT_EXCEEDED = "MaxDeliveryCountExceeded"


class Consumer(Protocol):
    """Somebody who takes messages."""

    @property
    def credit(self) -> int:
        """How many messages may be delivered now."""

    @property
    def receives_and_deletes(self) -> bool:
        """Messages are gone when delivered, without a lock."""

    def deliver(self, message: Message) -> None:
        """Takes one message and one off the credit."""


class Queue:
    """One queue, or the dead-letter queue of one (which has none itself and no maximum delivery count)."""

    def __init__(self, broker: Broker, dead_letter_queue: Queue | None) -> None:
        self._broker = broker
        self.dead_letter_queue = dead_letter_queue
        self._sequence_numbers = count(1)  # a message keeps its number in the dead-letter queue
        self._messages: dict[int, Message] = {}
        self._ready: list[int] = []  # a heap, so that what comes back is delivered before what came later
        self._locked: dict[uuid.UUID, Message] = {}
        self._consumers: deque[Consumer] = deque()

    def enqueue(self, content: Content) -> int:
        """Accepts a message and returns its new sequence number."""
        message = Message(content, next(self._sequence_numbers), self._broker.now())
        self._add(message)
        return message.sequence_number

    def subscribe(self, consumer: Consumer) -> None:
        """Delivers to this consumer from now on, for as long as it has credit."""
        if consumer not in self._consumers:
            self._consumers.append(consumer)
        self._dispatch()

    def unsubscribe(self, consumer: Consumer) -> None:
        """Delivers nothing more to it. What it holds stays locked until settled or until the lock expires."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def complete(self, token: uuid.UUID) -> None:
        """Removes a locked message. Raises LockLostError."""
        del self._messages[self._take(token).sequence_number]

    def abandon(self, token: uuid.UUID) -> None:
        """Gives a locked message back; the delivery counts. Raises LockLostError."""
        self._fail(self._take(token))

    def release(self, token: uuid.UUID) -> None:
        """Gives back a locked message that was not looked at; the delivery does not count. Raises LockLostError."""
        self._make_ready(self._take(token))

    def dead_letter(self, token: uuid.UUID, reason: str | None, description: str | None) -> None:
        """Moves a locked message to the dead-letter queue. Raises LockLostError; AmqpError if it is there already."""
        if self.dead_letter_queue is None:
            raise AmqpError("amqp:not-allowed", "A message in a dead-letter queue cannot be dead-lettered.")
        self._move(self._take(token), self.dead_letter_queue, DeadLettering(reason, description))

    def renew(self, token: uuid.UUID) -> datetime:
        """Extends a lock by the lock duration from now and returns its new end. Raises LockLostError."""
        message = self._take(token)
        message.lock = Lock(token, self._broker.lock_end())
        self._locked[token] = message
        return message.lock.until

    def peek(self, from_sequence_number: int, limit: int) -> list[Message]:
        """Messages from a sequence number on, in order, locked or not, without touching them."""
        numbers = (number for number in self._messages if number >= from_sequence_number)
        return [self._messages[number] for number in heapq.nsmallest(limit, numbers)]

    def expire_locks(self) -> None:
        """Gives back every message whose lock has run out; the delivery counts."""
        now = self._broker.now()
        for token in [token for token, message in self._locked.items() if _has_expired(message, now)]:
            self._fail(self._locked.pop(token))

    def _take(self, token: uuid.UUID) -> Message:
        message = self._locked.pop(token, None)
        if message is None:
            raise LockLostError
        if _has_expired(message, self._broker.now()):
            self._fail(message)
            raise LockLostError
        return message

    def _fail(self, message: Message) -> None:
        message.delivery_count += 1
        limit = self._broker.max_delivery_count
        if self.dead_letter_queue is None or message.delivery_count < limit:
            self._make_ready(message)
            return
        description = f"Message could not be consumed after {limit} delivery attempts."
        self._move(message, self.dead_letter_queue, DeadLettering(MAX_DELIVERY_COUNT_EXCEEDED, description))

    def _move(self, message: Message, to: Queue, why: DeadLettering) -> None:
        del self._messages[message.sequence_number]
        message.dead_lettering = why
        to._add(message)

    def _add(self, message: Message) -> None:
        self._messages[message.sequence_number] = message
        self._make_ready(message)

    def _make_ready(self, message: Message) -> None:
        message.lock = None
        heapq.heappush(self._ready, message.sequence_number)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._ready and (consumer := self._next_consumer()):
            message = self._messages[heapq.heappop(self._ready)]
            if consumer.receives_and_deletes:
                del self._messages[message.sequence_number]
            else:
                message.lock = Lock(self._broker.new_token(), self._broker.lock_end())
                self._locked[message.lock.token] = message
            consumer.deliver(message)

    def _next_consumer(self) -> Consumer | None:
        """In turn, so that competing consumers share the work."""
        for _ in range(len(self._consumers)):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if consumer.credit > 0:
                return consumer
        return None


class Broker:
    """The queues of a namespace and what they have in common."""

    def __init__(
        self,
        queues: Iterable[str],
        *,
        lock_duration: timedelta,
        max_delivery_count: int,
        now: Callable[[], datetime],
        new_token: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self.max_delivery_count = max_delivery_count
        self.now = now
        self.new_token = new_token
        self._lock_duration = lock_duration
        self._queues: dict[str, Queue] = {}
        for name in queues:
            dead_letter_queue = Queue(self, None)
            self._queues[name.lower()] = Queue(self, dead_letter_queue)
            self._queues[name.lower() + DEAD_LETTER_QUEUE] = dead_letter_queue

    def find(self, path: str) -> Queue:
        """The queue of a path such as `orders` or `orders/$DeadLetterQueue`. Raises EntityNotFoundError."""
        queue = self._queues.get(path.lower())
        if queue is None:
            raise EntityNotFoundError(path)
        return queue

    def lock_end(self) -> datetime:
        """When a lock taken now ends."""
        return self.now() + self._lock_duration

    def expire_locks(self) -> None:
        """To be called often; correctness does not depend on how often, since settling looks at the clock itself."""
        for queue in self._queues.values():
            queue.expire_locks()


def _has_expired(message: Message, now: datetime) -> bool:
    return message.lock is None or message.lock.until <= now
