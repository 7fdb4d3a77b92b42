"""What gRPC serves beside the calls, without credentials: health and reflection. Each stream counts for its client.

Health is written again here: that of the library keeps a lock while it writes to a watcher, so one that reads nothing would
stop the health that all others see.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.web.clients import Clients

LOOK_INTERVAL_S = 1.0

Context = Any
"""grpc.aio.ServicerContext, which is untyped."""
AddressOf = Callable[[Context], str]


@asynccontextmanager
async def held(clients: Clients, context: Context, address: str) -> AsyncIterator[None]:
    """A stream's place; one too many ends here."""
    if clients.refusal(address):
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "this client has too many streams open")
    place = clients.enter(address)
    try:
        yield
    finally:
        place.leave()


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1. good: whether we serve. write_s_max: a watcher that takes nothing for so long is left."""

    def __init__(
        self,
        names: tuple[str, ...],
        good: Callable[[], bool],
        clients: Clients,
        address_of: AddressOf,
        write_s_max: float,
    ) -> None:
        self._names, self._good, self._clients, self._address_of = names, good, clients, address_of
        self._write_s_max = write_s_max
        self.ending = False

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Now."""
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def Watch(self, request: Any, context: Context) -> None:  # noqa: N802
        """Now, and whenever it changes."""
        async with held(self._clients, context, self._address_of(context)):
            last = None
            while True:
                status = self._status(request.service)
                if status != last:
                    async with asyncio.timeout(self._write_s_max):
                        await context.write(health_pb2.HealthCheckResponse(status=status))
                    last = status
                if self.ending:
                    return
                await asyncio.sleep(LOOK_INTERVAL_S)

    def _status(self, service: str) -> Any:
        statuses = health_pb2.HealthCheckResponse
        if service not in self._names:
            return statuses.SERVICE_UNKNOWN
        return statuses.SERVING if self._good() and not self.ending else statuses.NOT_SERVING


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """grpc.reflection.v1alpha."""

    def __init__(self, names: tuple[str, ...], pool: Any, clients: Clients, address_of: AddressOf) -> None:
        super().__init__(names, pool=pool)
        self._clients, self._address_of = clients, address_of

    async def ServerReflectionInfo(self, request_iterator: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """One answer a question."""
        async with held(self._clients, context, self._address_of(context)):
            async for answer in super().ServerReflectionInfo(request_iterator, context):
                yield answer
