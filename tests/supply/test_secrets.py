"""No secret is in the files; what looks like one and is public is listed with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.supply.secrets import secrets_in, tracked

PUBLIC = json.loads((Path(__file__).parent / "public_secrets.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_what_looks_like_a_secret_is_listed_and_what_is_listed_is_there() -> None:
    found = {(one.file, one.hash): f"{one.file}: {one.kind}" for one in secrets_in(tracked())}
    listed = {(one["file"], one["hash"]) for one in PUBLIC}

    assert [name for key, name in sorted(found.items()) if key not in listed] == []
    assert sorted(listed - found.keys()) == []


def test_every_public_secret_says_why_it_is_none() -> None:
    assert all(len(one["reason"]) > 20 for one in PUBLIC)


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("shared/a.py", 'PASSWORD = "Tr0ub4dor&3x"', "Secret Keyword"),
        (
            "shared/a.py",
            'KEY = "c3VwZXIgbG9uZyBzZWNyZXQgc3RyaW5nIHZhbHVlIDEyMzQ1Njc4OTA="',
            "Base64 High Entropy String",
        ),
        ("tests/a.py", "-----BEGIN RSA " + "PRIVATE KEY-----", "Private Key"),
        ("docs/b.md", 'password = "Tr0ub4dor&3x"', "Secret Keyword"),
        ("docs/a.md", "AccountKey=" + "Zm9v" * 21 + "Zg==", "Azure Storage Account access key"),
        ("tests/a.py", "ghp_" + "a1B2c3D4e5F6" * 3, "GitHub Token"),
        ("tests/a.py", "AKIA" + "ZX4Y7Q2W9E1R5T8U", "AWS Access Key"),
        ("tests/a.yml", "Aws_secret_key: " + "a1B2c3D4e5" * 4, "AWS Access Key"),
        ("tests/a.md", "https://somebody:" + "Tr0ub4dor@example.com/", "Basic Auth Credentials"),
        ("tests/a.py", "ey" + "JhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "JSON Web Token"),
        ("tests/.npmrc", "//registry.example.com/:_auth" + "Token=npm_a1B2c3D4e5F6", "NPM tokens"),
        ("tests/a.txt", "pypi-AgE" + "IcHlwaS5vcmc" + "a1B2c3D4e5" * 7, "PyPI Token"),
        ("infra/a.bicep", "clientSecret: 'q~8Q~abcdefGHIJK'", "Secret Keyword"),
    ],
)
def test_a_planted_secret_is_found(tmp_path: Path, file: str, text: str, kind: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{text}\n", encoding="utf-8")

    assert kind in {found.kind for found in secrets_in([file], tmp_path)}
