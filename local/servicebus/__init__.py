"""An emulator of Azure Service Bus queues, in memory, for azure-servicebus with `UseDevelopmentEmulator=true`.

`python -m local.servicebus` runs it as a process of its own. From the outside in: `server.py` listens, `connection.py`
and `session.py` speak AMQP 1.0 over `frames.py` and `codec.py`, `links.py` joins clients to queues, `access.py` and
`management.py` answer requests, and `broker.py` keeps the messages of `message.py`.
"""

from __future__ import annotations

KEY_NAME = "RootManageSharedAccessKey"
DEFAULT_KEY = "bG9jYWwtc2VydmljZS1idXMta2V5"


def connection_string(port: int, key: str = DEFAULT_KEY) -> str:
    """What a client on this machine connects with."""
    return f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={key};UseDevelopmentEmulator=true;"
