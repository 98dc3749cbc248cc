"""A scripted Autotask: the discovery host always names a zone, the zone's server answers in order."""

from __future__ import annotations

from tests.adapters.conftest import Answer, Received, Server

ZONE = "/atservicesrest/v1.0/zoneInformation"


def zone(server: Server, path: str = "/ATServicesRest/") -> Answer:
    return Answer(200, {"zoneName": "Local", "url": f"{server.url}{path}", "webUrl": "", "ci": 1})


class Script(list[Answer]):
    """Answers of the zone's server, in order; the discovery host always answers with the zone."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.zones = [zone(server)]
        server.reply = self._reply

    def _reply(self, request: Received) -> Answer:
        if request.path == ZONE:
            return self.zones.pop(0) if len(self.zones) > 1 else self.zones[0]
        return self.pop(0) if self else Answer(599)
