"""The failures a Service Bus client can see.

Each carries the AMQP condition that goes over the wire. Where an error is caught decides what it ends: a settlement, a
request, a link or the whole connection.
"""

from __future__ import annotations


class AmqpError(Exception):
    """A failure with its AMQP condition (a symbol such as `amqp:not-found`) and a sentence."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class DecodeError(AmqpError):
    """Bytes that are not what AMQP 1.0 allows at this place."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:decode-error", description)


class EntityNotFoundError(AmqpError):
    """No queue of this name was declared."""

    def __init__(self, path: str) -> None:
        super().__init__("amqp:not-found", f"The messaging entity '{path}' could not be found.")


class LockLostError(AmqpError):
    """The lock token is unknown, was settled, or its lock has expired."""

    def __init__(self) -> None:
        super().__init__(
            "com.microsoft:message-lock-lost",
            "The lock supplied is invalid. Either the lock expired, or the message has already been removed.",
        )


class UnauthorizedError(AmqpError):
    """No valid token was put for this entity."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:unauthorized-access", description)
