"""Upgrades: what a subscription can become, what was asked for, and how far Microsoft has come with it; pure.

New commerce calls it a transition, asynchronous and with a history of events; legacy offers have an upgrade that is
answered at once (Partner Center reference 9). Read from the wire by `shared.partner_center.wire_transitions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.reasons import Reason, Vocabulary, plain

_COMMON: dict[int, tuple[str, str]] = {
    0: ("other", "Microsoft does not say why."),
    1: ("delegated_admin_permissions_disabled", "The customer has not given the partner the delegated permissions."),
    2: ("subscription_status_not_active", "The subscription is not active."),
    3: ("conflicting_service_types", "Services of the target conflict with services that the customer has."),
    4: ("concurrency_conflicts", "Microsoft is working on another change of this subscription."),
    5: ("user_context_required", "Microsoft wants a signed-in user for this."),
    6: ("subscription_add_ons_present", "The subscription has add-ons."),
    8: ("subscription_target_offer_not_found", "The target is not sold any more."),
    9: ("subscription_not_provisioned", "The subscription is not provisioned yet."),
    10: ("offer_does_not_support_billing_cycle", "The target is not sold with this billing cycle."),
}
_NO_PATH = "Microsoft has no upgrade path for this subscription."
_NO_GDAP = "The partner's granular permissions at the customer do not suffice."

TRANSITION_REASONS = Vocabulary(
    _COMMON
    | {
        7: ("subscription_does_not_have_any_transitioned_paths", _NO_PATH),
        11: ("conversions_not_found", _NO_PATH),
        12: ("user_license_error", "The licences of one or more users could not be moved."),
        13: ("insufficient_granular_admin_permissions", _NO_GDAP),
    }
)
DESTINATION_REASONS = Vocabulary(
    {
        1: ("subscription_not_active", "The subscription is not active."),
        2: (
            "subscription_in_cancellation_window",
            "The subscription is still inside its cancellation window; seats can be moved into it afterwards.",
        ),
        3: (
            "subscription_term_duration_shorter_than_source_term_duration",
            "Its term is shorter than that of the source.",
        ),
        4: ("subscription_term_ends_before_source_term", "Its term ends before that of the source."),
    }
)
UPGRADE_REASONS = Vocabulary(
    _COMMON
    | {
        7: ("subscription_does_not_have_any_upgrade_paths", _NO_PATH),
        11: ("insufficient_granular_admin_permissions", _NO_GDAP),
    }
)


@dataclass(frozen=True, slots=True)
class TransitionType:
    """One way of carrying a transition out: `transition_only` or `transition_with_license_transfer`."""

    name: str
    eligible: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """An existing subscription of the target product that the seats could join."""

    subscription_id: str
    friendly_name: str
    term: str
    billing: str
    eligible: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class TransitionOption:
    """A product to move to. `target` is "product:sku:availability", whose last part goes stale: read, then send.

    `quantity` is the number of seats that Microsoft names, None where it names none.
    """

    target: str
    title: str
    quantity: int | None
    types: tuple[TransitionType, ...]
    destinations: tuple[Destination, ...]

    def type(self, name: str) -> TransitionType | None:
        """The way of that name, whether eligible or not."""
        return next((each for each in self.types if plain(each.name) == plain(name)), None)


@dataclass(frozen=True, slots=True)
class TransitionRequest:
    """Move `quantity` seats to `target`; into an existing subscription where `to_subscription` names one."""

    target: str
    quantity: int
    transition_type: str
    to_subscription: str | None = None
    term: str | None = None
    billing: str | None = None
    promotion: str | None = None


@dataclass(frozen=True, slots=True)
class TransitionEvent:
    """One step that Microsoft reports: `Conversion` or `LicenseReassignment`, `Started`, `Completed` or `Failed`."""

    name: str
    status: str
    at: datetime | None
    errors: tuple[Reason, ...] = ()


class Progress(StrEnum):
    """How far a transition has come."""

    STARTED = "started"
    FAILED = "failed"
    COMPLETED = "completed"
    COMPLETED_WITH_WARNING = "completed_with_warning"


@dataclass(frozen=True, slots=True)
class TransitionResult:
    """How far a transition has come; `text` says why it failed, or what is left to do by hand."""

    progress: Progress
    text: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition at Microsoft. `operation_id` is None where the answer carried none: then track it by its target."""

    operation_id: str | None
    target: str
    quantity: int | None
    to_subscription: str | None
    events: tuple[TransitionEvent, ...]

    def outcome(self) -> TransitionResult:
        """How far it has come (reference 9.1.3); unknown events and statuses decide nothing."""
        conversion = [event for event in self.events if plain(event.name) == "conversion"]
        failed = next((event for event in conversion if plain(event.status) == "failed"), None)
        if failed is not None:
            return TransitionResult(Progress.FAILED, _words(failed) or "Microsoft could not carry the upgrade out.")
        if not any(plain(event.status) == "completed" for event in conversion):
            return TransitionResult(Progress.STARTED)
        return self._licences()

    def _licences(self) -> TransitionResult:
        """The product is bought; what its licences do now. The last event decides, by time where all have one."""
        events = [event for event in self.events if plain(event.name) == "licensereassignment"]
        moments = [event.at for event in events if event.at is not None]
        if len(moments) == len(events):
            events = [event for _, event in sorted(zip(moments, events, strict=True), key=lambda pair: pair[0])]
        last = plain(events[-1].status) if events else "completed"
        if last == "failed":
            return TransitionResult(
                Progress.COMPLETED_WITH_WARNING,
                _words(events[-1]) or "The licences could not be moved; assign them by hand.",
            )
        return TransitionResult(Progress.COMPLETED if last == "completed" else Progress.STARTED)

    @property
    def started_at(self) -> datetime | None:
        """The moment of its first event."""
        return min((event.at for event in self.events if event.at is not None), default=None)


def _words(event: TransitionEvent) -> str:
    return " ".join(reason.text or reason.sentence for reason in event.errors)


@dataclass(frozen=True, slots=True)
class UpgradeOption:
    """A legacy offer to upgrade to; `raw` is what the upgrade itself sends back unchanged. All seats or none."""

    offer_id: str
    name: str
    eligible: bool
    reasons: tuple[Reason, ...]
    quantity: int | None
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """What a legacy upgrade did. `license_errors` counts the users whose licences did not follow; who they are is
    personal data and stays at Microsoft.
    """

    source: str
    target: str | None
    errors: tuple[Reason, ...]
    license_errors: int
