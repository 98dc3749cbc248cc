"""Plain stand-ins for the message classes between the Functions host and Microsoft's worker library.

The library takes its message classes from its caller, so that plain objects do where the real host has generated
ones. `worker_library` builds requests from them; only the attributes that the library reads or sets are known here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar


class Message:
    """A message with whatever fields it is given; a field that was not given reads as None, as an unset one does."""

    one_of: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - the name that the library calls
        """Tell which of the alternative fields is set."""
        return next((name for name in self.__dict__ if name in self.one_of), None)

    def __getattr__(self, name: str) -> Any:
        # The library asks a datum for `TypedData` to tell a module of classes from a message.
        if name.startswith("__") or name == "TypedData":
            raise AttributeError(name)
        return None


class TypedData(Message):
    """A value on its way to or from a function."""

    one_of = ("string", "json", "bytes", "http", "int", "double")


class ParameterBinding(Message):
    """A value for one named parameter."""

    one_of = ("data",)


class StatusResult(Message):
    """How a request to the library ended."""

    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(Message):
    """Direction and data type of a binding."""

    out, inout = 1, 2
    undefined, string, binary, stream = 0, 1, 2, 3


class RpcHttpCookie(Message):
    """A cookie of an HTTP answer."""

    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class Messages:
    """The module of message classes, as the library sees it; classes not named here are plain messages."""

    TypedData = TypedData
    ParameterBinding = ParameterBinding
    StatusResult = StatusResult
    BindingInfo = BindingInfo
    RpcHttpCookie = RpcHttpCookie

    def __getattr__(self, name: str) -> type[Message]:
        if name.startswith("__"):
            raise AttributeError(name)
        return Message
