"""The one error of the control paths: a request that cannot be honoured, answered as 400 with its sentence."""

from __future__ import annotations


class ControlError(Exception):
    """A control request is wrong; the text says what to send instead."""
