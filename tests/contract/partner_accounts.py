"""The two accounts of the Partner Center contract: the fake of the crash tests, and the simulator behind the client."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from shared.domain.known import Known
from shared.ports import PartnerCenterPort
from tests.world.clock import Clock
from tests.world.partner_center import ChangeFault, Fault, PartnerCenter, nce

CUSTOMER = "0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101"  # Northwind in the simulator's seed
_ONE = "/subscriptions/"  # in the path of every change


class Account(Protocol):
    """What the tests do around the port."""

    port: PartnerCenterPort

    def deadline(self) -> datetime:
        """A moment until which there is time enough."""

    def bought(self, seats: int) -> str:
        """A new subscription of `CUSTOMER` inside its windows; its id."""

    def shown(self, subscription: str) -> Known:
        """What Microsoft has, past all faults."""

    def edit(self, subscription: str, seats: int) -> None:
        """Somebody changes the seats directly at Microsoft."""

    def lose(self, *, when: str) -> None:
        """The next change gets no answer; it is lost `before` or `after` its effect."""

    def throttle(self, seconds: int) -> None:
        """The next change is turned away for so long."""

    def work_slowly(self, seconds: int) -> None:
        """The next change is answered 202 and takes effect later."""

    def pass_time(self, seconds: int) -> None:
        """Let Microsoft's clock go on."""


class FakeAccount:
    """The fake."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._fake = PartnerCenter(self._clock)
        self.port: PartnerCenterPort = self._fake

    def go_away(self) -> None:
        self._fake.away_until = datetime.max.replace(tzinfo=UTC)

    def deadline(self) -> datetime:
        return self._clock.now() + timedelta(seconds=20)

    def bought(self, seats: int) -> str:
        identity = str(uuid.uuid4())
        self._fake.add(CUSTOMER, nce(identity, seats, until=self._clock.now() + timedelta(days=7)))
        return identity

    def shown(self, subscription: str) -> Known:
        return self._fake.known(CUSTOMER, subscription)

    def edit(self, subscription: str, seats: int) -> None:
        self._fake.edit(CUSTOMER, subscription, quantity=seats)

    def lose(self, *, when: str) -> None:
        self._fake.faults.append(Fault(ChangeFault.LOST if when == "before" else ChangeFault.ANSWER_LOST))

    def throttle(self, seconds: int) -> None:
        self._fake.faults.append(Fault(ChangeFault.BUSY, seconds))

    def work_slowly(self, seconds: int) -> None:
        self._fake.faults.append(Fault(ChangeFault.WORKING, seconds))

    def pass_time(self, seconds: int) -> None:
        self._clock.advance(timedelta(seconds=seconds))


class SimulatedAccount:
    """The simulator behind the real client."""

    def __init__(self, port: PartnerCenterPort, control: httpx.Client) -> None:
        self.port = port
        self._control = control

    def deadline(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=20)

    def bought(self, seats: int) -> str:
        answer = self._post("/_control/state/subscriptions", customerId=CUSTOMER, template="nce", quantity=seats)
        return str(answer["id"])

    def shown(self, subscription: str) -> Known:
        answer = self._control.get(f"/_control/state/subscriptions/{subscription}").raise_for_status().json()
        return Known(answer["status"], answer["quantity"])

    def edit(self, subscription: str, seats: int) -> None:
        path = f"/_control/state/subscriptions/{subscription}"
        self._control.patch(path, json={"quantity": seats}).raise_for_status()

    def lose(self, *, when: str) -> None:
        self._post("/_control/faults", method="PATCH", path=_ONE, when=when, fault="reset")

    def throttle(self, seconds: int) -> None:
        self._post("/_control/faults", method="PATCH", path=_ONE, fault="429", retryAfterSeconds=seconds)

    def work_slowly(self, seconds: int) -> None:
        self._post("/_control/state/async", seconds=seconds, times=1)

    def pass_time(self, seconds: int) -> None:
        self._post("/_control/clock", advanceSeconds=seconds)

    def _post(self, path: str, /, **body: Any) -> Any:
        return self._control.post(path, json=body).raise_for_status().json()
