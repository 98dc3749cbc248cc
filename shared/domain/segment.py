"""The segment that an offer is sold in, as far as its name tells; pure (ADR 0038).

A subscription at Partner Center names product and SKU, and no segment: Microsoft sells an offer for schools, charities
and governments under a SKU of its own, whose title says so. So a product mapping needs no segment, and a person who
maps one may see it.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Segment(StrEnum):
    """Microsoft's segments."""

    COMMERCIAL = "commercial"
    EDUCATION = "education"
    CHARITY = "charity"
    GOVERNMENT = "government"


_WORDS = (
    (Segment.CHARITY, re.compile(r"\b(non-?profit|charity)\b", re.IGNORECASE)),
    (Segment.EDUCATION, re.compile(r"\b(education|edu|faculty|students?|academic|a[135] for)\b", re.IGNORECASE)),
    (Segment.GOVERNMENT, re.compile(r"\b(gcc|government|gov)\b", re.IGNORECASE)),
)


def segment_of(offer_name: str) -> Segment:
    """The segment that the title of an offer names; commercial where it names none."""
    return next((segment for segment, words in _WORDS if words.search(offer_name)), Segment.COMMERCIAL)
