"""What a process logs while it signs in, with every logger of every library at its most talkative."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import httpx
import pytest

from shared.domain.errors import Misconfigured
from shared.partner_center import credential
from shared.partner_center.redirect import query_of
from shared.storage.coordination import Coordination
from tests.local_world.vendor_processes import CLIENT_SECRET, Entra
from tests.local_world.vendor_processes import KeyVault as RunningVault
from tests.sign_in.conftest import WITHOUT_MFA, Clock, Directory, client_file
from tests.sign_in.stores import in_key_vault, opened
from tests.sign_in.test_calls import Callers, read
from tests.sign_in.test_consent import UPN

pytestmark = pytest.mark.anyio
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}")


async def test_no_secret_is_logged_whatever_happens(
    caplog: pytest.LogCaptureFixture,
    directory: Directory,
    coordination: Coordination,
    clock: Clock,
    partner_center: httpx.Client,
    vault: RunningVault,
    entra: Entra,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("azure")]:
        caplog.set_level(logging.DEBUG, logger=name)  # whatever another test has quieted
    callers = Callers(directory, coordination, clock, partner_center, tmp_path)
    errors: list[Misconfigured] = []
    async with opened(vault, entra) as client:
        callers.store = in_key_vault(client, clock)
        await callers.store.save(directory.refresh_token())
        await read(callers.user())  # the exchange, the save, the trial
        clock.advance(hours=25)
        await read(callers.user())  # the write-back
        await callers.store.save(directory.refresh_token(WITHOUT_MFA))
        directory.switch(refreshWithoutMfa="refused")
        with pytest.raises(Misconfigured) as refused:
            await read(callers.user())
        errors.append(refused.value)
        await coordination.resume("partner_center")
        await client.put("client", client_file(entra).read_text(), expires_on=clock())
        assert await directory.authority(credential.from_key_vault(client, "client")).as_application()
        with pytest.raises(Misconfigured) as refused:
            await directory.authority(credential.from_secret("a-wrong-secret")).as_application()
        errors.append(refused.value)
    await callers.close()
    flow = await directory.authority().begin("http://localhost:8400", by_form=False)
    answer = query_of(entra.http.get(flow["auth_uri"]).headers["location"])
    assert await directory.authority().finish(flow, answer)

    logged = caplog.text + "".join(str(record.__dict__) for record in caplog.records) + repr(errors)
    assert "Request method" in logged, "the libraries did talk"
    secrets = {CLIENT_SECRET, "a-wrong-secret", UPN, "PRIVATE KEY--", "client_assertion="}
    secrets |= {answer["code"], flow["code_verifier"]}
    secrets |= {item["token"] for item in entra.http.get("/_control/state").json()["refreshTokens"]}
    assert {secret for secret in secrets if secret in logged} == set()
    assert TOKEN.findall(logged) == []
