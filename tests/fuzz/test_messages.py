"""A message of the queue is one of ours or `NotOurs`, whatever its body is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.operation import Address
from shared.messaging.envelope import Envelope, NotOurs, decode, encode
from tests.adapters.conftest import NOW
from tests.fuzz.strange import EXAMPLES, TEXT, bodies

ADDRESS = Address("0b7f5b9d-3c61-4f0e-8f9a-51c2a7d4e101", "7c1e2a34-90ab-4cde-8f01-23456789ab01", 3)
TRUE = {
    "specversion": "1.0",
    "id": f"{ADDRESS}:1",
    "source": "csp-functions",
    "type": "csp-functions.operation.push.v1",
    "data": {"operation": str(ADDRESS)},
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


@EXAMPLES
@given(body=bodies(TRUE, ("specversion", "type", "data", "operation", "id")))
def test_a_body_is_a_pointer_to_an_operation_or_not_ours(body: bytes) -> None:
    try:
        envelope = decode(body)
    except NotOurs:
        return
    assert isinstance(envelope, Envelope)
    assert Address.parse(str(envelope.address)) == envelope.address


@EXAMPLES
@given(text=st.one_of(TEXT, st.from_regex(r"[0-9a-fA-F-]{36}_[0-9a-f-]{36}_\d{1,30}")))
def test_an_address_is_read_or_refused_and_never_something_else(text: str) -> None:
    try:
        found = Address.parse(text)
    except ValueError:
        return
    assert str(found) == text.lower()


def test_what_we_write_is_ours() -> None:
    assert decode(encode("x", ADDRESS, now=NOW)).address == ADDRESS
