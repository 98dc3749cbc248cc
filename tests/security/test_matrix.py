"""Every route against every role, and against no, old, foreign and forged tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.identity import Role
from tests.security.conftest import EVERY_ROLE, Entra
from tests.security.inventory import GUARDED, NOBODY, Route
from tests.spine.world import World

OUR_TENANT = "6f0c2c5e-1a3b-4d52-9a44-2d8a7f1b9c01"


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return document


def tampered(token: str, **claims: Any) -> str:
    """Other claims under the signature of the true ones."""
    header, payload, signature = token.split(".")
    return f"{header}.{encoded(decoded(payload) | claims)}.{signature}"


def with_header(token: str, **changes: Any) -> str:
    """Another header under the signature of the true one."""
    header, payload, signature = token.split(".")
    return f"{encoded(decoded(header) | changes)}.{payload}.{signature}"


def forged(entra: Entra) -> dict[str, str]:
    """Tokens that say every role, and are each wrong in one way."""
    true = entra.token()
    header, payload, signature = true.split(".")
    powerless = entra.token(roles=[])
    wrong_end = "A" if signature[10] != "A" else "B"
    return {
        "expired": entra.token(expiresInSeconds=-3600),
        "not valid yet": entra.token(startsInSeconds=3600),
        "foreign key": entra.token(signedBy="stranger"),
        "wrong audience": entra.token(audience="api://somebody-else"),
        "audience of Partner Center": entra.token(audience="https://api.partnercenter.microsoft.com"),
        "wrong issuer": entra.token(issuer="https://sts.example.com/"),
        "wrong tenant": entra.token(tenant=NOBODY),
        "our issuer, wrong tenant": entra.token(
            tenant=NOBODY, issuer=f"{str(entra.client.base_url).rstrip('/')}/{OUR_TENANT}/v2.0"
        ),
        "version 1": entra.token(version="1.0"),
        "alg none": entra.token(algorithm="none"),
        "HS256 with the public key": entra.token(algorithm="HS256"),
        "alg none over a true signature": with_header(true, alg="none"),
        "critical extension": with_header(true, crit=["exp"]),
        "unknown key": with_header(true, kid="somebody"),
        "key by path": with_header(true, kid="../../etc/passwd"),
        "tampered roles": tampered(powerless, roles=EVERY_ROLE),
        "tampered subject": tampered(true, oid=NOBODY),
        "tampered signature": f"{header}.{payload}.{signature[:10]}{wrong_end}{signature[11:]}",
        "no signature": f"{header}.{payload}.",
        "half a token": true[: len(true) // 2],
        "nobody": entra.token(oid="not-an-object-id"),
        "too long": true + "A" * 20_000,
    }


@pytest.fixture(scope="module")
def wrong(entra: Entra) -> dict[str, str]:
    return forged(entra)


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_no_forgery_opens_a_route(world: World, wrong: dict[str, str], route: Route) -> None:
    answers = {
        name: world.anonymous.request(route.method, route.path(), headers={"Authorization": f"Bearer {token}"})
        for name, token in wrong.items()
    }
    answers["no token"] = world.anonymous.request(route.method, route.path())
    answers["basic"] = world.anonymous.request(route.method, route.path(), headers={"Authorization": "Basic dTpw"})

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert {answer.json()["code"] for answer in answers.values()} == {"unauthenticated"}
    assert {answer.headers["WWW-Authenticate"] for answer in answers.values()} == {"Bearer"}


@pytest.mark.parametrize("route", GUARDED, ids=str)
@pytest.mark.parametrize("application", [False, True], ids=["user", "service principal"])
def test_only_the_declared_role_opens_a_route(world: World, entra: Entra, route: Route, application: bool) -> None:  # noqa: FBT001 - a test's parameter
    for role in (*EVERY_ROLE, "Something.Else", str(route.role).lower(), ""):
        header = entra.bearer(roles=[role] if role else [], application=application)

        answer = world.anonymous.request(route.method, route.path(), headers=header)

        if role == route.role:
            assert answer.status_code not in {401, 403, 500}, answer.text
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), role


def test_roles_that_are_no_list_are_no_roles(world: World, entra: Entra) -> None:
    true = world.anonymous.get("/customers", headers=entra.bearer(roles=[Role.READ.value]))
    listed_twice = world.anonymous.get("/customers", headers=entra.bearer(roles=[[Role.READ.value]]))

    assert (true.status_code, listed_twice.status_code) == (200, 403)
