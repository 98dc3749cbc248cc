"""What the use cases expect of a service desk: the fake of the crash tests and the simulator behind the real client."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import httpx
import pytest

from local.stack import Stack
from shared.domain.errors import OutcomeUnknown, Refused, RetryLater
from shared.domain.tickets import TicketDraft, external_id_of
from shared.ports import TicketsPort
from shared.transport import Transport
from tests.contract.autotask_tenants import COMPANY
from tests.contract.test_autotask_port import client, now
from tests.world.clock import Clock
from tests.world.tickets import TicketFault, Tickets

pytestmark = pytest.mark.anyio


class ServiceDesk(Protocol):
    """What the tests do around the port."""

    port: TicketsPort

    def now(self) -> datetime: ...

    def lose(self, *, when: str) -> None:
        """The next creation gets no answer; it is lost `before` or `after` its effect."""

    def refuse(self) -> None:
        """The next creation breaks a rule of the tenant."""


class FakeDesk:
    def __init__(self) -> None:
        self._clock = Clock()
        self._fake = Tickets(self._clock)
        self.port: TicketsPort = self._fake

    def now(self) -> datetime:
        return self._clock.now()

    def lose(self, *, when: str) -> None:
        self._fake.faults.append(TicketFault.LOST if when == "before" else TicketFault.ANSWER_LOST)

    def refuse(self) -> None:
        self._fake.faults.append(TicketFault.REFUSED)


class SimulatedDesk:
    def __init__(self, port: TicketsPort, control: httpx.Client) -> None:
        self.port = port
        self._control = control

    def now(self) -> datetime:
        return now()

    def lose(self, *, when: str) -> None:
        self._fault(when=when, fault="reset")

    def refuse(self) -> None:
        self._fault(fault="500", body={"errors": ["Missing Required Field: queueID"]})

    def _fault(self, **rule: object) -> None:
        body = {"method": "POST", "path": "v1.0/Tickets$", **rule}
        self._control.post("/_control/faults", json=body).raise_for_status()


@pytest.fixture(params=["fake", "client"])
async def desk(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[ServiceDesk]:
    if request.param == "fake":
        yield FakeDesk()
        return
    stack: Stack = request.getfixturevalue("stack")
    transport = Transport(stack.ready["autotask"], now=now)
    yield SimulatedDesk(client(transport, stack.ready["settings"]), request.getfixturevalue("autotask"))
    await transport.aclose()


def a_draft(desk: ServiceDesk) -> TicketDraft:
    return TicketDraft(
        external_id=external_id_of(str(uuid.uuid4())),
        company=COMPANY,
        title="CSP billing: change quantity not billed (drift)",
        description="Somebody changed it.\n\nReference: x",
        status=1,
        priority=2,
        queue=None,
        due=desk.now() + timedelta(days=1),
    )


def deadline(desk: ServiceDesk) -> datetime:
    return desk.now() + timedelta(seconds=10)


async def test_a_ticket_is_found_by_its_external_id_and_by_no_other(desk: ServiceDesk) -> None:
    draft = a_draft(desk)
    assert await desk.port.ticket(draft.external_id) is None

    made = await desk.port.open_ticket(draft, deadline(desk))

    found = await desk.port.ticket(draft.external_id)
    assert found is not None
    assert (found.id, found.status) == (made, 1)
    assert found.number
    assert await desk.port.ticket(a_draft(desk).external_id) is None


async def test_a_status_is_set_and_set_again(desk: ServiceDesk) -> None:
    draft = a_draft(desk)
    made = await desk.port.open_ticket(draft, deadline(desk))
    for status in (5, 5, 1):
        await desk.port.set_ticket_status(made, status, deadline(desk))
        found = await desk.port.ticket(draft.external_id)
        assert found is not None
        assert found.status == status


@pytest.mark.parametrize(("when", "there"), [("before", False), ("after", True)])
async def test_a_lost_answer_leaves_the_outcome_unknown(desk: ServiceDesk, when: str, *, there: bool) -> None:
    draft = a_draft(desk)
    desk.lose(when=when)
    with pytest.raises(OutcomeUnknown):
        await desk.port.open_ticket(draft, deadline(desk))
    assert (await desk.port.ticket(draft.external_id) is not None) is there


async def test_what_autotask_does_not_take_is_refused_with_its_text(desk: ServiceDesk) -> None:
    desk.refuse()
    with pytest.raises(Refused, match="queueID"):
        await desk.port.open_ticket(a_draft(desk), deadline(desk))
    with pytest.raises(Refused):
        await desk.port.set_ticket_status(1, 5, deadline(desk))


async def test_nothing_is_sent_after_the_deadline(desk: ServiceDesk) -> None:
    draft = replace(a_draft(desk))
    with pytest.raises(RetryLater):
        await desk.port.open_ticket(draft, desk.now() - timedelta(seconds=1))
    assert await desk.port.ticket(draft.external_id) is None
