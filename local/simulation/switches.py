"""Named switches for behaviour of the real vendor that is inferred, not documented.

Each simulator declares its switches and asks for the value where behaviour differs; `control` lists and sets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Switch:
    """One behaviour: its default, the values it can take (None: any number from 0) and what it decides."""

    name: str
    default: Any
    allowed: tuple[Any, ...] | None
    sentence: str

    def check(self, value: Any) -> Any:
        """Return the value if the switch can take it.

        Raises:
            ControlError: it cannot.
        """
        if self.allowed is None:
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ControlError(f"{self.name} must be a number, 0 or more")
            return value
        if not any(value == allowed and type(value) is type(allowed) for allowed in self.allowed):
            raise ControlError(f"{self.name} must be one of {', '.join(map(str, self.allowed))}")
        return value


class Switches:
    """The switches of one simulator with their present values."""

    def __init__(self, switches: Iterable[Switch] = ()) -> None:
        self._switches = {switch.name: switch for switch in switches}
        self._values: dict[str, Any] = {}
        self.reset()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several switches, all or none.

        Raises:
            ControlError: a name is unknown or a value not allowed.
        """
        checked = {}
        for name, value in values.items():
            if name not in self._switches:
                raise ControlError(f"there is no switch {name}; there are {', '.join(self._switches) or 'none'}")
            checked[name] = self._switches[name].check(value)
        self._values.update(checked)

    def reset(self) -> None:
        """Set every switch to its default."""
        self._values = {switch.name: switch.default for switch in self._switches.values()}

    def as_json(self) -> list[dict[str, Any]]:
        """Return each switch with value, default, allowed values and its sentence."""
        return [
            {
                "name": switch.name,
                "value": self._values[switch.name],
                "default": switch.default,
                "allowed": "number, 0 or more" if switch.allowed is None else list(switch.allowed),
                "sentence": switch.sentence,
            }
            for switch in self._switches.values()
        ]
