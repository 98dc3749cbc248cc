"""Every partition and row key of every table is built here and nowhere else (docs/architecture.md, "Storage").

GUIDs are lowered; everything else keeps its case. Sequence numbers are padded so that keys sort as numbers.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime

from shared.domain.long_work import WorkAddress
from shared.domain.operation import Address

ALARM_SHARDS = ("0", "1", "2", "3")
CUSTOMER_SHARDS = tuple("0123456789abcdef")
END = "\uffff"
_LONGEST_PART = 150  # of what a vendor says; a key has 512 characters at most

DEAD_LETTERS = "dead_letters"
GRANTS = "grants"
BULKS = "bulks"
BULK = "bulk"  # what the partitions of bulks and of their items begin with
AFTER_BULKS = "bulkz"  # no partition of a bulk sorts after it
REVIEWS = "reviews"  # operations that wait for a person's release
TOUCHED = "touched"  # customers that a full sync must look at, whatever their prints say
MOMENTS = "moments"  # customers by their next moments: due, calendar, legacy
NEW = "new"  # subscriptions that appeared at a known customer and are not mapped
UNREADABLE = "unreadable"  # items of Partner Center that could not be understood, raw
SYNC = "sync"  # the full sync: its state, its pages, its past runs; the cursor of the audit records
WEBHOOKS = "webhooks"  # hints that were not followed yet, and events that were seen
FACTS = "fact"  # what was found out about something
FORGOTTEN = "forgotten"  # what remains of the deletion of a customer's data
IMPORTS = "imports"  # imports of mappings with their idempotency
HANDLED = "handled"  # audit records that were handled, by day
DESK = "desk"  # long work that somebody at the dead-letter desk asked for, and tickets
FINDINGS = "findings"  # of the last reconciliation


def head(subscription: str) -> str:
    """The head row of a subscription."""
    return f"H:{subscription}"


def heads() -> tuple[str, str]:
    """The span of all head rows of a customer."""
    return "H:", "H;"


def line(contract_service: int) -> str:
    """A line."""
    return f"L:{contract_service}"


def operation(address: Address) -> str:
    """An operation."""
    return f"O:{address.subscription}:{address.sequence:010d}"


def operations(subscription: str, *, after: int = 0) -> tuple[str, str]:
    """The span of a subscription's operations with a higher sequence number than `after`."""
    return f"O:{subscription}:{after + 1:010d}", f"O:{subscription};"


def event(address: Address, number: int) -> str:
    """An event of an operation."""
    return f"E:{address.subscription}:{address.sequence:010d}:{number:06d}"


def events(address: Address) -> tuple[str, str]:
    """The span of an operation's events."""
    return f"E:{address.subscription}:{address.sequence:010d}:", f"E:{address.subscription}:{address.sequence:010d};"


def lines() -> tuple[str, str]:
    """The span of all lines of a customer."""
    return "L:", "L;"


def replays() -> tuple[str, str]:
    """The span of all idempotency rows of a partition."""
    return "K:", "K;"


def just_after(key: str) -> str:
    """Where a span goes on after a row."""
    return f"{key}!"


def idempotency(caller: str, target: str, key: str) -> str:
    """An idempotency row: the caller, what is asked of what, and the caller's key, hashed."""
    text = "\n".join((caller, target, key))
    return f"K:{hashlib.sha256(text.encode()).hexdigest()}"


def bulk(identity: str) -> str:
    """A bulk, in the partition of all bulks."""
    return f"B:{identity}"


def bulk_partition(identity: str) -> str:
    """The partition of a bulk's items; no customer's id looks like it."""
    return f"bulk:{identity}"


def bulk_of(partition: str) -> str:
    """The bulk whose items lie in a partition."""
    return partition.removeprefix("bulk:")


def bulk_item(position: int) -> str:
    """An item of a bulk; items sort by their position."""
    return f"I:{position:04d}"


def bulk_items() -> tuple[str, str]:
    """The span of all items of a bulk."""
    return "I:", "I;"


def mapping_import(identity: str) -> str:
    """An import of mappings, in the partition of all imports."""
    return f"I:{identity}"


def import_partition(identity: str) -> str:
    """The partition of the rows of an import."""
    return f"import:{identity}"


def import_part(number: int) -> str:
    """Some rows of an import; parts sort by their number."""
    return f"P:{number:06d}"


def import_parts(first: int) -> tuple[str, str]:
    """The span of the parts of an import from one on."""
    return import_part(first), "P;"


def alarm_partition(address: Address | WorkAddress) -> str:
    """The partition of an alarm: of operations one of the shards, of long work its kind."""
    if isinstance(address, WorkAddress):
        return address.kind.value
    return ALARM_SHARDS[hashlib.sha256(str(address).encode()).digest()[0] % len(ALARM_SHARDS)]


def alarm(due: datetime, address: Address | WorkAddress) -> str:
    """An alarm; alarms of a partition sort by the moment they are due."""
    return f"{moment(due)}:{address}"


def job(identity: str) -> str:
    """A job of the desk, in the partition of all jobs."""
    return f"J:{identity}"


def ticket(about: str) -> str:
    """The ticket that we opened about something, in the partition of the desk."""
    return f"T:{about}"


def dead_letters(*, customer: str | None = None, after: str | None = None) -> tuple[str, str]:
    """The span of the index of dead letters, of all customers or one, all of it or what follows an entry."""
    start, end = (f"{customer}_", f"{customer}`") if customer else ("", END)
    return (f"{after}!" if after else start), end


def finding(customer: str, contract_service: int) -> str:
    """What a reconciliation found about a line."""
    return f"{customer}:{contract_service}"


def moment(when: datetime) -> str:
    """A moment as sortable text in UTC with microseconds."""
    text = when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.replace("-", "").replace(":", "") + "Z"


def customer_shard(customer: str) -> str:
    """The partition of a customer's read model."""
    return hashlib.sha256(customer.encode()).hexdigest()[0]


def mapping_product(product: str, term: str, billing: str) -> str:
    """The row of an offer: product and SKU, term, billing frequency, as a vendor spells them."""
    return "~".join(_safe(part) or "none" for part in (product, term, billing))


def _safe(text: str) -> str:
    """Text in which what a key cannot hold, or what separates its parts, is spelled in hexadecimal."""
    safe = re.sub(r"[^A-Za-z0-9:._-]", lambda found: f"!{ord(found[0]):x}!", text)
    return safe if len(safe) <= _LONGEST_PART else hashlib.sha256(text.encode()).hexdigest()


def mapping_line(contract_service: int) -> str:
    """The row that makes a line belong to one subscription."""
    return f"L:{contract_service}"


def mapping_subscription(customer: str, subscription: str) -> str:
    """The row of a mapped subscription."""
    return f"S:{customer}:{subscription}"


def mapping_subscriptions(customer: str, *, after: str | None) -> tuple[str, str]:
    """The span of a customer's mapped subscriptions, all of them or those after a row."""
    first = f"S:{customer}:"
    return max(first, f"{after}!") if after else first, f"S:{customer};"  # whatever row is named, no other customer's


def grant(caller: str) -> str:
    """What a caller may see."""
    return f"G:{caller}"


def grant_change(caller: str, when: datetime) -> str:
    """A change of what a caller may see; a caller's changes sort by their moment."""
    return f"C:{caller}:{moment(when)}"


def grant_changes(caller: str) -> tuple[str, str]:
    """The span of all changes of what a caller may see."""
    return f"C:{caller}:", f"C:{caller};"


def all_grant_changes() -> tuple[str, str]:
    """The span of all changes of what anybody may see."""
    return "C:", "C;"


def price(product: str, term: str, billing: str, valid_from: date) -> str:
    """A row of the price list; the rows of an offer sort by the day from which they are valid."""
    return f"{_offer(product, term, billing)}~{valid_from.isoformat()}"


def prices(product: str, term: str, billing: str) -> tuple[str, str]:
    """The span of an offer's rows in the price list."""
    offer = _offer(product, term, billing)
    return f"{offer}~", f"{offer}~{END}"


def price_rule(customer: str | None, product: str | None, term: str | None, billing: str | None) -> str:
    """A margin rule, by what it is for."""
    return "~".join(_plain(part) if part else "any" for part in (customer, product, term, billing))


def _offer(*parts: str) -> str:
    return "~".join(_plain(part) or "none" for part in parts)


def _plain(part: str) -> str:
    return _safe(part.lower())


def forgotten(digest: str, reference: str) -> str:
    """The deletion of a customer's data, by a digest of its id and the reference of whoever asked for it."""
    return f"{digest}:{reference}"


def sync_state() -> str:
    """The full sync as it stands."""
    return "full"


def audit_cursor() -> str:
    """Until when audit records were handled."""
    return "audit"


def sync_run(run: str) -> str:
    """A run that has ended."""
    return f"run:{run}"


def sync_runs() -> tuple[str, str]:
    """The span of all runs that have ended, the oldest first."""
    return "run:", "run;"


def sync_page_list(run: str, number: int) -> str:
    """The customers of a page of a run."""
    return f"page:{run}:{number:06d}:list"


def sync_page_done(run: str, number: int) -> str:
    """How far a page of a run is."""
    return f"page:{run}:{number:06d}:done"


def sync_page(run: str, number: int) -> tuple[str, str]:
    """The span of both rows of a page."""
    return f"page:{run}:{number:06d}:", f"page:{run}:{number:06d};"


def handled_day(day: str, number: int) -> str:
    """Some audit records of a day that were handled."""
    return f"{day}:{number:06d}"


def handled_days(first: str, last: str) -> tuple[str, str]:
    """The span of handled audit records of some days, both included."""
    return f"{first}:", f"{last};"


def customer_moment(kind: str, when: datetime, customer: str) -> str:
    """A customer in the index of next moments of a kind."""
    return f"{kind}:{moment(when)}:{customer}"


def customer_moments(kind: str, until: datetime | None) -> tuple[str, str]:
    """The span of next moments of a kind, until a moment or all."""
    return f"{kind}:", f"{kind}:{moment(until)};" if until else f"{kind};"


def owned(customer: str, subscription: str) -> str:
    """A subscription in an index of a partition of its own."""
    return f"{customer}:{subscription}"


def owned_by(customer: str) -> tuple[str, str]:
    """The span of a customer's entries in such an index."""
    return f"{customer}:", f"{customer};"


def hint(customer: str, subscription: str) -> str:
    """A hint that a subscription, or something of a customer, changed."""
    return f"hint:{customer}:{subscription}"


def hints() -> tuple[str, str]:
    """The span of all hints."""
    return "hint:", "hint;"


def webhook_event(day: str, event: str) -> str:
    """A webhook event about a change on a day (ISO date)."""
    return f"seen:{day}:{hashlib.sha256(event.encode()).hexdigest()}"


def webhook_events_before(day: str) -> tuple[str, str]:
    """The span of webhook events about changes before a day (ISO date)."""
    return "seen:", f"seen:{day}"
