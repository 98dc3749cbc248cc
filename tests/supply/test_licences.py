"""Every licence is known and allowed; docs/licences.md is compared by tests/documents."""

from __future__ import annotations

import pytest

from tests.supply.licences import licences, locked, npm_licences, refused

LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-node.txt"]
# What npm packages name instead of a licence, and what is found there
EXPLAINED = {"http://geraintluff.github.io/tv4/LICENSE.txt": "public domain, or MIT where there is none"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_licence_that_is_allowed(lock: str) -> None:
    found = licences(locked(lock))

    assert len(found) >= 1
    assert {name: said for name, said in found.items() if refused(said)} == {}


def test_every_npm_package_of_the_storage_emulator_has_one_too() -> None:
    assert [said for said in npm_licences() if refused(said) and said not in EXPLAINED] == []


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("MIT", False),
        ("Apache-2.0 OR GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only)", False),
        ("Apache-2.0 AND MIT", False),
        ("MIT AND GPL-3.0-only", True),
        ("AGPL-3.0-only", True),
        ("LGPL-2.1-or-later", True),
        ("UNKNOWN", True),
        ("Proprietary", True),
        ("", True),
    ],
)
def test_a_licence_without_an_allowed_choice_is_refused(said: str, wrong: bool) -> None:  # noqa: FBT001 - a test's parameter
    assert refused(said) is wrong
