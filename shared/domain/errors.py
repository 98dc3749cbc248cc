"""Errors as classes by the reaction they ask for; every layer raises and catches these.

A caller decides by class alone: refuse, ask again, wait, re-read, or call a person. Sentences carry no secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


class CspError(Exception):
    """Base of all errors of this application."""


class Refused(CspError):
    """Refuse: the request cannot be done as asked; `code` is stable, `details` say until when and what remains."""

    def __init__(self, code: str, sentence: str, **details: object) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.details = details


class Conflict(CspError):
    """Conflict: somebody else changed the same thing meanwhile; read again and decide anew."""


class RetryLater(CspError):
    """Retry later: certainly not executed (or only a read); `after` is the wait the vendor asked for, if it did."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class OutcomeUnknown(CspError):
    """Settle by reading: a write may have reached the vendor; never simply send it again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Misconfigured(CspError):
    """Call a person: credentials, permissions or settings are wrong; repeating does not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Denied(Misconfigured):
    """Call a person about this one resource: a vendor does not let us see it, while others may be open to us."""


class VendorError(Misconfigured):
    """Call a person: a vendor answered a read in a way that this application has no reaction to; `text` is its own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"unexpected answer, status {status}: {text}")
        self.status = status
        self.text = text


class NotSigned(CspError):
    """Refuse: a message says that it comes from a vendor, and its signature does not prove it."""


class NotFound(CspError):
    """The vendor does not know it, or does not let us see it; `what` is a noun such as customer or subscription."""

    def __init__(self, what: str, id: str) -> None:  # noqa: A002 - the name that callers and problem documents use
        super().__init__(f"{what} {id} not found")
        self.what = what
        self.id = id


class Malformed(CspError):
    """What the vendor sent cannot be read; nothing may be decided from it."""
