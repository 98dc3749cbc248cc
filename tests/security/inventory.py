"""Every HTTP route of the app, read from its decorators: what it is called by, and the role that it declares."""

from __future__ import annotations

import re
from dataclasses import dataclass

from function_app import app
from functions.http_actions.endpoint import ROLE
from shared.identity import Role

NOBODY = "deadbeef-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Route:
    """One method of one HTTP function."""

    name: str
    method: str
    template: str
    role: Role | None

    @property
    def names_customer(self) -> bool:
        """Whether the route says which customer it concerns, itself or by an operation's address."""
        return "{customer}" in self.template or "{operation}" in self.template

    def path(self, customer: str = NOBODY) -> str:
        """A path of the route about a customer, with ids of things that do not exist."""
        operation = f"{customer}_{NOBODY}_1"
        path = self.template.replace("{customer}", customer).replace("{operation}", operation)
        return "/" + re.sub(r"{[^}]+}", NOBODY, path)

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def routes() -> list[Route]:
    """All of them, in a stable order."""
    found = []
    functions = app.get_functions()
    app.functions_bindings = {}  # the SDK counts a second walk as a second set of functions with the same names
    for function in functions:
        trigger = function.get_trigger()
        if trigger is not None and trigger.type == "httpTrigger":
            binding = trigger.get_dict_repr()
            role = getattr(function.get_user_function(), ROLE, None)
            methods = [str(getattr(method, "value", method)) for method in binding["methods"]]
            found += [
                Route(str(function.get_function_name()), method, str(binding["route"]), role) for method in methods
            ]
    return sorted(found, key=str)


ROUTES = routes()
# Whoever adds a route without a role writes down here what protects it instead
OPEN = {
    "live": "says only that the process answers",
    "partner_center_webhook": "Microsoft's signature over the body; a caller of ours has no business there",
}
GUARDED = [route for route in ROUTES if route.name not in OPEN]
