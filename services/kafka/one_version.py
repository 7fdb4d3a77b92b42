"""Requests of the one version that we speak, where the client library has none or another."""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct


class OneVersion(Request[RequestStruct]):  # type: ignore[misc]  # the library is untyped
    """A request as it is sent. Brokers that do not know its version are not asked: NotImplementedError."""

    API_KEY = -1  # of none: each has its own

    def __init__(self, struct: RequestStruct) -> None:
        self.API_KEY, self._CLASSES, self._struct = struct.API_KEY, (type(struct),), struct

    def build(self, request_struct_class: Any) -> Any:
        """What it was made of."""
        return self._struct
