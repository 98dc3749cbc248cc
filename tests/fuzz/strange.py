"""Strategies for what nobody should send: any JSON, and true documents with a part exchanged."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st


def examples(number: int) -> settings:
    """So many examples, the same ones in every run."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


EXAMPLES = examples(100)
TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "0", "-1", "NaN", "null", "\x00", "\r\nX: y", "\ud800", "٣", "1e999", "9" * 5000, "../..", "//x"]
    ),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**400, -(10**400)]),
    st.floats(allow_nan=True, allow_infinity=True),
    TEXT,
)


def documents(names: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    """Any JSON; members are often called by one of `names`."""
    keys = st.one_of(st.sampled_from(names), TEXT) if names else TEXT
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=8,
    )


@st.composite
def changed(draw: st.DrawFn, true: Any) -> Any:
    """A true document with one to three of its parts exchanged for anything, or left out."""
    document = json.loads(json.dumps(true))
    for _ in range(draw(st.integers(1, 3))):
        document = _exchanged(draw, document)
    return document


def _exchanged(draw: st.DrawFn, document: Any) -> Any:
    """The document with a part exchanged: a deep one rather than the whole."""
    if isinstance(document, dict) and document and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(document)))
        if not draw(st.integers(0, 5)):
            return {key: value for key, value in document.items() if key != name}
        return {**document, name: _exchanged(draw, document[name])}
    if isinstance(document, list) and document and draw(st.integers(0, 9)):
        position = draw(st.integers(0, len(document) - 1))
        return [*document[:position], _exchanged(draw, document[position]), *document[position + 1 :]]
    return draw(documents())


def encoded(document: Any) -> bytes:
    """A document on the wire, as a careless program writes it: NaN and half surrogates too."""
    return json.dumps(document).encode("utf-8", "surrogatepass")


def bodies(true: Any, names: tuple[str, ...] = ()) -> st.SearchStrategy[bytes]:
    """Bodies: true documents changed, any JSON, deep JSON, and no JSON."""
    depth = st.integers(1, 3000)
    return st.one_of(
        changed(true).map(encoded),
        changed(true).map(encoded),
        documents(names).map(encoded),
        depth.map(lambda levels: b"[" * levels + b"]" * levels),
        depth.map(lambda levels: b'{"a":' * levels + b"1" + b"}" * levels),
        st.binary(max_size=60),
        st.sampled_from([b"", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"a":1,"a":2}', b"<html>503</html>"]),
    )
