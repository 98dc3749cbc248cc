"""Messages are only reasons to look: twice, late and in reverse order they lead to the same end as once."""

from __future__ import annotations

from datetime import UTC, datetime

from local import servicebus
from local.ports import free_ports
from shared.domain.operation import Address
from shared.messaging.envelope import encode, message_id
from tests.spine.broker import Broker
from tests.spine.world import World, eventually, fault, requests


def copy_of_message(operation: str) -> bytes:
    """What a standard tool sends that copies the operation's message."""
    address = Address.parse(operation)
    return encode(message_id(address, 0), address, now=datetime.now(UTC))


def test_each_message_twice_and_in_reverse_order_leads_to_one_adjustment(world: World, broker: Broker) -> None:
    subjects = [world.inside_window() for _ in range(2)]
    fault(world.autotask, {"path": ".", "fault": "503", "times": 0})
    operations = [
        world.done(subject, "change-quantity", quantity=subject.quantity + more)
        for more in (4, 2, 5)
        for subject in subjects
    ]
    copies = [copy_of_message(operation) for operation in reversed(operations) for _ in range(2)]

    broker.send(*copies)
    world.autotask.delete("/_control/faults").raise_for_status()
    broker.send(*copies)

    for operation in operations:
        world.wait_for_rest(operation)
    eventually(broker.waiting, lambda left: not left)
    for subject in subjects:
        assert world.adjustments(subject) == [(world.today(), 5)]
        assert world.units_before_and_from(subject, world.today())[1:] == [subject.quantity + 5] * 2


def test_copies_that_come_when_all_is_done_change_nothing_and_ask_autotask_nothing(
    world: World, broker: Broker
) -> None:
    subject = world.outside_window()
    first = world.done(subject, "change-quantity", quantity=subject.quantity + 1)
    world.wait_for_rest(first)
    asked = len(requests(world.autotask, "POST", "."))
    dead = len(broker.dead())

    broker.send(*[copy_of_message(first)] * 3)

    eventually(broker.waiting, lambda left: not left)
    assert len(requests(world.autotask, "POST", ".")) == asked
    assert len(broker.dead()) == dead
    assert world.adjustments(subject) == [(world.today(), 1)]


def test_an_operation_whose_message_was_never_sent_is_pushed_by_its_alarm(world: World) -> None:
    subject = world.outside_window()
    (port,) = free_ports(1)
    mute = world.stack.start_extra_host({"ServiceBus": servicebus.connection_string(port)})
    try:
        answer = world.clients["operator"].post(
            f"{world.stack.ready['hosts'][mute]}/api{subject.path}/change-quantity",
            json={"quantity": subject.quantity + 1},
            headers={"Idempotency-Key": "mute"},
        )
    finally:
        world.stack.kill(mute)

    assert answer.status_code == 200
    world.wait_for_rest(answer.json()["operation"]["id"])
    assert world.adjustments(subject) == [(world.today(), 1)]
