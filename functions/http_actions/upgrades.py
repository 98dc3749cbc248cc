"""Upgrades: what a subscription can become, and becoming it."""

from __future__ import annotations

import azure.functions as func

from functions.http_actions import codes
from functions.http_actions.acting import ACTED, SUBSCRIPTION, ConfirmedBody, Seats, Word, perform
from functions.http_actions.endpoint import Answer, Call, Guid, endpoint
from functions.http_actions.problems import Problem, camel, plain
from shared.domain.actions import Action
from shared.domain.asks import UpgradeAsk
from shared.identity import Role
from shared.usecases.options import UpgradeOptions, upgrade_options

blueprint = func.Blueprint()


class UpgradeBody(ConfirmedBody):
    """The target (a catalogue item of the options, or a legacy offer), and which seats move where.

    Without `quantity` all seats move; without `transition_type` the licences of users stay where they are.
    """

    target: Word
    quantity: Seats | None = None
    to_subscription_id: Guid | None = None
    transition_type: Word | None = None
    term_duration: Word | None = None
    billing_cycle: Word | None = None
    promotion_id: Word | None = None

    def ask(self) -> UpgradeAsk:
        """See ActionBody."""
        return UpgradeAsk(
            target=self.target,
            quantity=self.quantity,
            to_subscription=self.to_subscription_id,
            transition_type=self.transition_type,
            term=self.term_duration,
            billing=self.billing_cycle,
            promotion=self.promotion_id,
        )


@blueprint.function_name("upgrade_options")
@blueprint.route(route=f"{SUBSCRIPTION}/upgrade/options", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.READ, UpgradeOptions, refuses=codes.RULES)
async def list_upgrade_options(call: Call) -> Answer:
    """All products that the subscription can be upgraded to, now and at its renewal, and why others not."""
    found = await upgrade_options(call.app, call.guid("customer"), call.guid("subscription"))
    return Answer(camel(plain(found)))


@blueprint.function_name("upgrade")
@blueprint.route(route=f"{SUBSCRIPTION}/upgrade", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint(Role.OPERATE, ACTED, body=UpgradeBody, keyed=True, refuses=(*codes.ACTION, *codes.UPGRADING))
async def upgrade(call: Call) -> Answer | Problem:
    """Upgrade all or some seats, into a subscription of their own or an existing one. It cannot be undone."""
    body, request_hash = call.body(UpgradeBody)
    return await perform(call, Action.UPGRADE, body, request_hash)
