"""One AMQP session: attaches links, moves transfers and settles deliveries.

`connection.py` feeds it performatives and gives it the way to send. Credit, not the session window, limits what is
under way: the window is announced as practically endless and the client's is not looked at.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from local.servicebus import management
from local.servicebus.access import CBS_NODE, Access, entity_path
from local.servicebus.broker import DEAD_LETTER_QUEUE, Broker, Queue
from local.servicebus.codec import Described, UInt
from local.servicebus.errors import AmqpError
from local.servicebus.frames import (
    ACCEPTED,
    MODIFIED,
    REJECTED,
    RELEASED,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
    error,
    rejected,
)
from local.servicebus.links import Answerer, IncomingLink, OutgoingLink, attach_reply, enqueue
from local.servicebus.message import parse_request

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

WINDOW = UInt(2**31 - 1)
_SERIAL = 2**32
_TRANSFER_OVERHEAD = 128  # bytes; a transfer frame without its payload is smaller
_FILTER_FIELD = 7  # of a source


class Session:
    """A session of a connection, from begin to end."""

    def __init__(
        self,
        begin: Begin,
        broker: Broker,
        access: Access,
        max_frame_size: int,
        send: Callable[[Performative, bytes], None],
    ) -> None:
        self._broker = broker
        self._access = access
        self._payload_size = max_frame_size - _TRANSFER_OVERHEAD
        self._send = send
        self._links: dict[UInt, IncomingLink | OutgoingLink] = {}
        self._next_incoming_id = int(begin.next_outgoing_id)
        self._next_outgoing_id = 0
        self._next_delivery_id = 0

    def handle(self, performative: Performative, payload: bytes) -> None:
        """Does what a frame asks for. Raises AmqpError where the connection cannot go on."""
        match performative:
            case Attach():
                self._on_attach(performative)
            case Flow():
                self._on_flow(performative)
            case Transfer():
                self._on_transfer(performative, payload)
            case Disposition():
                self._on_disposition(performative)
            case Detach():
                self._on_detach(performative)
            case _:
                raise AmqpError("amqp:illegal-state", "The performative is not allowed within a session.")

    def end(self) -> None:
        """Ends all links. What was delivered through them stays locked until its lock expires, as at the service."""
        for link in self._links.values():
            _unsubscribe(link)
        self._links.clear()

    def send_delivery(self, handle: UInt, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Sends a delivery in as many frames as it needs and returns its id."""
        delivery_id = self._next_delivery_id
        self._next_delivery_id = (delivery_id + 1) % _SERIAL
        for start in range(0, len(payload), self._payload_size):
            end = start + self._payload_size
            transfer = Transfer(handle, UInt(delivery_id), tag, UInt(0), settled, end < len(payload))
            self._send(transfer, payload[start:end])
            self._next_outgoing_id = (self._next_outgoing_id + 1) % _SERIAL
        return delivery_id

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle in self._links:
            raise AmqpError("amqp:session:handle-in-use", "The handle is in use.")
        try:
            address = _address(attach)
            node = self._resolve(address, client_sends=not attach.role)
        except AmqpError as problem:
            self._send(Attach(attach.name, attach.handle, not attach.role, initial_delivery_count=UInt(0)), b"")
            self._send(Detach(attach.handle, closed=True, error=error(problem)), b"")
            return
        self._send(attach_reply(attach), b"")
        if attach.role:
            self._links[attach.handle] = OutgoingLink(attach, address, node, self.send_delivery)
        else:
            link = self._links[attach.handle] = IncomingLink(attach, address, node)
            self._send_flow(link)

    def _resolve(self, address: str, *, client_sends: bool) -> Queue | Answerer:
        path = entity_path(address)
        if path == CBS_NODE:
            return self._access.answer
        is_management = path.endswith(management.MANAGEMENT_NODE)
        path = path.removesuffix(management.MANAGEMENT_NODE)
        queue = self._broker.find(path)
        self._access.check(path)
        if is_management:
            return partial(management.answer, queue)
        if client_sends and path.lower().endswith(DEAD_LETTER_QUEUE):
            raise AmqpError("amqp:not-allowed", "Nothing can be sent to a dead-letter queue.")
        return queue

    def _on_flow(self, flow: Flow) -> None:
        link = self._links.get(flow.handle) if flow.handle is not None else None
        if isinstance(link, OutgoingLink):
            link.grant(flow.delivery_count, flow.link_credit)
            if isinstance(link.node, Queue):
                link.node.subscribe(link)
            if flow.drain:
                link.drain()
        if flow.echo or (link and flow.drain):
            self._send_flow(link, drain=bool(flow.drain))

    def _send_flow(self, link: IncomingLink | OutgoingLink | None, *, drain: bool = False) -> None:
        flow = Flow(
            next_incoming_id=UInt(self._next_incoming_id),
            incoming_window=WINDOW,
            next_outgoing_id=UInt(self._next_outgoing_id),
            outgoing_window=WINDOW,
            handle=link.handle if link else None,
            delivery_count=UInt(link.delivery_count) if link else None,
            link_credit=UInt(link.credit) if link else None,
            drain=drain,
        )
        self._send(flow, b"")

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) % _SERIAL
        link = self._links.get(transfer.handle)
        if not isinstance(link, IncomingLink):
            raise AmqpError("amqp:session:unattached-handle", "The handle is not one to send on.")
        delivery = link.collect(transfer, payload)
        if delivery is None:
            return
        first, whole = delivery
        outcome = self._accept(link, first, whole)
        if not first.settled and first.delivery_id is not None:
            number = first.delivery_id
            self._send(Disposition(role=True, first=number, last=number, settled=True, state=outcome), b"")
        if link.credit_to_grant():
            self._send_flow(link)

    def _accept(self, link: IncomingLink, first: Transfer, whole: bytes) -> Described:
        try:
            if isinstance(link.node, Queue):
                enqueue(link.node, first.message_format, whole)
            else:
                self._respond(link.address, link.node(parse_request(whole)))
        except AmqpError as problem:
            return rejected(problem)
        return Described(ACCEPTED, [])

    def _respond(self, address: str, payload: bytes) -> None:
        """Answers on the link that comes from the asked node: the SDK opens them as a pair and names no reply-to."""
        for link in self._links.values():
            if isinstance(link, OutgoingLink) and link.address == address:
                link.respond(payload)
                return
        raise AmqpError("amqp:precondition-failed", "There is no link to answer on.")

    def _on_disposition(self, disposition: Disposition) -> None:
        if not disposition.role:
            return  # of what the client sent: all of that was settled here
        last = disposition.first if disposition.last is None else disposition.last
        for link in [link for link in self._links.values() if isinstance(link, OutgoingLink)]:
            for delivery_id in [number for number in link.unsettled if disposition.first <= number <= last]:
                outcome = _settle(link, delivery_id, disposition.state)
                if not disposition.settled:
                    number = UInt(delivery_id)
                    self._send(Disposition(role=False, first=number, last=number, settled=True, state=outcome), b"")

    def _on_detach(self, detach: Detach) -> None:
        link = self._links.pop(detach.handle, None)
        if link:
            _unsubscribe(link)
            self._send(Detach(detach.handle, closed=detach.closed), b"")


def _unsubscribe(link: IncomingLink | OutgoingLink) -> None:
    if isinstance(link, OutgoingLink) and isinstance(link.node, Queue):
        link.node.unsubscribe(link)


def _address(attach: Attach) -> str:
    terminus = attach.source if attach.role else attach.target
    values = terminus.value if terminus and isinstance(terminus.value, list) else []
    if not values or not isinstance(values[0], str):
        raise AmqpError("amqp:not-implemented", "A link needs the address of a queue.")
    if attach.role and len(values) > _FILTER_FIELD and values[_FILTER_FIELD]:
        raise AmqpError("amqp:not-implemented", "Filters, and with them sessions, are not supported.")
    return values[0]


def _settle(link: OutgoingLink, delivery_id: int, state: Described | None) -> Described:
    """Settles a delivery and returns the outcome to echo: the same, or `rejected` with the error."""
    token = link.unsettled.pop(delivery_id)
    state = state or Described(ACCEPTED, [])
    try:
        if isinstance(link.node, Queue):
            _apply(link.node, token, state)
    except AmqpError as problem:
        return rejected(problem)
    # the SDK takes a `rejected` with an error, even the one it sent itself, for a failure
    return Described(REJECTED, []) if state.descriptor == REJECTED else state


def _apply(queue: Queue, token: uuid.UUID, outcome: Described) -> None:
    fields = outcome.value if isinstance(outcome.value, list) else []
    if outcome.descriptor == ACCEPTED:
        queue.complete(token)
    elif outcome.descriptor == REJECTED:
        queue.dead_letter(token, *_dead_letter_reason(fields))
    elif outcome.descriptor == RELEASED:
        queue.release(token)
    elif outcome.descriptor == MODIFIED and not any(fields[1:2]):
        queue.abandon(token)
    else:
        raise AmqpError("amqp:not-implemented", "This outcome (to defer, for example) is not supported.")


def _dead_letter_reason(rejected_fields: list[object]) -> tuple[str | None, str | None]:
    """Reason and description travel in the info map of the outcome's error."""
    problem = rejected_fields[0] if rejected_fields else None
    fields = problem.value if isinstance(problem, Described) and isinstance(problem.value, list) else []
    info = fields[2] if len(fields) > 2 and isinstance(fields[2], dict) else {}
    return info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
