"""Webhooks: one registration of the tenant, and a signed delivery for each change that its events name.

`/webhooks/v1/registration` as at Microsoft; deliveries are retried ten times, then dropped. The control path
`state/webhooks` shows them and sends one of any kind, forged ones too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from starlette.responses import JSONResponse, Response

from local.partner_center.errors import ApiError
from local.partner_center.moments import with_micros
from local.partner_center.webhook_certificates import Authority, CertificateServer, Identity
from local.simulation.control import control_route, json_object
from local.simulation.errors import ControlError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.routing import Route

    from local.partner_center.account import Account
    from local.partner_center.audit import AuditRecord
    from local.partner_center.calls import Call, Endpoint

EVENTS = ("subscription-updated", "test-created", "new-commerce-migration-completed", "new-commerce-migration-failed")
PATH = "/cert/pcnotifications-dispatch.microsoft.com.cer"
ISSUER_PATH = "/cert/issuer.cer"
ROOTS_FILE = "webhook-roots.pem"
_ATTEMPTS = 10
_PAUSE_SECONDS = 0.2


@dataclass
class Delivery:
    """One event on its way: how often it was tried, and what came back last."""

    event: dict[str, Any]
    attempts: int = 0
    status: int | None = None
    answers: list[int | None] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As the control path shows it."""
        return {"event": self.event, "attempts": self.attempts, "status": self.status}


class Webhooks:
    """The registration and what was delivered; certificates are made at the start, and roots.pem is written."""

    def __init__(self, account: Account, directory: Path, *, certificate_port: int = 0) -> None:
        self._account = account
        self._authority = Authority()
        self._server = CertificateServer(self._authority.server(), certificate_port)
        self._signer = self._authority.signer(issuer_url=f"https://{self._server.host}{ISSUER_PATH}")
        self._server.contents |= {PATH: self._signer.der, ISSUER_PATH: self._authority.issuer.der}
        (directory / ROOTS_FILE).write_bytes(self._authority.root.pem)
        self._registration: dict[str, Any] | None = None
        self._deliveries: list[Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()
        account.on_record = self._changed

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """The registration's endpoints by method and path."""
        base = "/webhooks/v1/registration"
        return {
            ("GET", base + "/events"): self._events,
            ("POST", base + "/validationEvents"): self._validate,
            ("GET", base): self._show,
            ("POST", base): self._register,
            ("PUT", base): self._register,
        }

    def routes(self) -> list[Route]:
        """The control routes."""
        return [
            control_route("/state/webhooks", "GET", self.state),
            control_route("/state/webhooks", "POST", self.send),
        ]

    async def state(self, _: Request) -> dict[str, Any]:
        """The registration, where the certificates lie, and the deliveries."""
        return {
            "registration": self._registration,
            "certificateHost": self._server.host,
            "deliveries": [delivery.as_json() for delivery in self._deliveries],
        }

    async def send(self, request: Request) -> dict[str, Any]:
        """Send one delivery now, once, and tell the answer."""
        wanted = await json_object(request)
        registration = self._registration or {}
        url = wanted.get("url") or registration.get("WebhookUrl")
        if not url:
            raise ControlError("nobody has registered, and no url is given")
        event = {**self._event("test-created", None), **wanted.get("event", {})}
        body = json.dumps(event).encode()
        headers = self._headers(body, self._signer) | wanted.get("headers", {})
        if wanted.get("tampered"):
            body += b" "
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(url, content=body, headers=headers)
        return {"status": answer.status_code, "body": answer.text}

    def _events(self, _call: Call) -> Response:
        return JSONResponse(list(EVENTS))

    def _show(self, _call: Call) -> Response:
        if self._registration is None:
            raise ApiError(404, 40400, "There is no webhook registration.")
        return JSONResponse(self._registration)

    def _register(self, call: Call) -> Response:
        given = call.given()
        url = given.text("WebhookUrl")
        events = given.raw("WebhookEvents")
        known = isinstance(events, list) and all(event in EVENTS for event in events)
        if not url or not known:
            raise ApiError(
                400, 800002, "The request input is invalid: WebhookUrl and known WebhookEvents are expected."
            )
        self._registration = {
            "SubscriberId": str(uuid.uuid4()),
            "WebhookUrl": url,
            "WebhookEvents": events,
            "SignatureTokenToMsSignatureHeader": given.flag("SignatureTokenToMsSignatureHeader") or False,
        }
        return JSONResponse(self._registration)

    def _validate(self, _call: Call) -> Response:
        if self._registration is None or "test-created" not in self._registration["WebhookEvents"]:
            raise ApiError(400, 800002, "The event test-created is not registered.")
        self._deliver(self._event("test-created", None))
        return JSONResponse({"correlationId": str(uuid.uuid4())})

    def _changed(self, record: AuditRecord) -> None:
        """A subscription changed: tell whoever registered for it."""
        if self._registration is not None and "subscription-updated" in self._registration["WebhookEvents"]:
            self._deliver(self._event("subscription-updated", record))

    def _event(self, name: str, record: AuditRecord | None) -> dict[str, Any]:
        base = "https://api.partnercenter.microsoft.com"
        uri, audit = f"{base}/webhooks/v1/registration/test", None
        if record is not None:
            uri = f"{base}/webhooks/v1/customers/{record.customer_id}/subscriptions/{record.subscription_id}"
            audit = f"{base}/auditactivity/v1/auditrecords/{record.number}"
        return {
            "EventName": name,
            "ResourceUri": uri,
            "ResourceName": name.partition("-")[0],
            "AuditUri": audit,
            "ResourceChangeUtcDate": with_micros(record.at if record else self._account.now()),
        }

    def _deliver(self, event: dict[str, Any]) -> None:
        delivery = Delivery(event)
        self._deliveries.append(delivery)
        task = asyncio.get_running_loop().create_task(self._try(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try(self, delivery: Delivery) -> None:
        registration = self._registration or {}
        body = json.dumps(delivery.event).encode()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            while delivery.attempts < _ATTEMPTS and (delivery.status is None or delivery.status >= 400):
                delivery.attempts += 1
                try:
                    answer = await client.post(
                        registration["WebhookUrl"], content=body, headers=self._headers(body, self._signer)
                    )
                    delivery.status = answer.status_code
                except httpx.HTTPError:
                    delivery.status = None
                if delivery.status is None or delivery.status >= 400:
                    await asyncio.sleep(_PAUSE_SECONDS * delivery.attempts)

    def _headers(self, body: bytes, signer: Identity) -> dict[str, str]:
        signature = f"Signature {base64.b64encode(signer.sign(body)).decode()}"
        own = bool(self._registration and self._registration["SignatureTokenToMsSignatureHeader"])
        return {
            "Content-Type": "application/json",
            "x-ms-signature" if own else "Authorization": signature,
            "X-MS-Certificate-Url": f"https://{self._server.host}{PATH}",
            "X-MS-Signature-Algorithm": "rsa-sha256",
        }
