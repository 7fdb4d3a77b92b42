"""The gRPC service over what the HTTP API stands on: the same events, deadlines, access and problems."""

import asyncio
import traceback
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from pathlib import PurePath
from typing import Any

import grpc
import msgspec
import structlog
from google.protobuf import duration_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from schemas.answer import Problem
from schemas.calls import CALLS, PACKAGE, SERVICE
from schemas.export import PROTOBUF_DIR
from services.clock import monotonic_s
from services.errors import AssayError
from services.formats.protobuf_schemas import parse
from services.gateway.access import Asking, Client, token_of
from services.gateway.api import Gateway
from services.gateway.call_beside import Health, Reflection
from services.gateway.call_sockets import CallSockets
from services.gateway.keys import Scope
from services.gateway.problems import Kind, ProblemError
from services.gateway.server import PREFIX, counting
from services.settings.gateway import GatewaySettings
from services.web.clients import Clients
from services.web.server import clients_of

log = structlog.get_logger(__name__)

NAME = f"{PACKAGE}.{SERVICE}"
MARGIN_SHARE, MARGIN_S_MAX = 0.1, 0.05
"""Of the call's own deadline: so long before it the answer is sent, since after it the caller would not see the stand-in."""
END_S_MAX = 5.0
LOOK_INTERVAL_S = 1.0
DOMAIN = "assay"
OVERHEAD_BYTES = 4096
HANDSHAKE_MS_MAX = 10_000
IDLE_MS_MAX = 75_000
AGE_MS_MAX = 300_000
"""A client is asked to connect again, which its library does unseen."""
STREAMS_MAX = 1_000
"""Calls at once on one connection."""

CODES = {
    Kind.MALFORMED: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.UNKNOWN: grpc.StatusCode.NOT_FOUND,
    Kind.METHOD: grpc.StatusCode.UNIMPLEMENTED,
    Kind.AMBIGUOUS: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.REPEATED: grpc.StatusCode.ALREADY_EXISTS,
    Kind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.MEDIA_TYPE: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.BUSY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.RATE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.FAILED: grpc.StatusCode.INTERNAL,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}

Fields = dict[str, Any]
Context = Any
"""grpc.aio.ServicerContext, which is untyped."""
Ask = Callable[[Fields, float, Client], Awaitable[Any]]
"""A message's fields, until when they are to be answered, and who asks."""


class Calls:
    """The calls of the service: from a request's fields to what is answered."""

    def __init__(self, gateway: Gateway, clock_s: Callable[[], float] = monotonic_s) -> None:
        self._gateway, self._clock_s = gateway, clock_s

    async def decide(self, request: Fields, deadline_s: float, client: Client) -> Any:
        """One event. Raises ProblemError."""
        self._gateway.access.meter(client, 1)
        return await self._gateway.answer(request["event"].encode(), client.name, deadline_s)

    async def decide_many(self, request: Fields, deadline_s: float, client: Client) -> Any:
        """Several. Raises ProblemError."""
        events, events_max = request["events"], self._gateway.settings.events_max
        if not 0 < len(events) <= events_max:
            kind = Kind.TOO_LARGE if events else Kind.MALFORMED
            raise ProblemError(
                kind, f"there are {len(events)} events: send 1 to {events_max} (ASSAY_GATEWAY_EVENTS_MAX)"
            )
        self._gateway.access.meter(client, len(events))
        payloads = [event.encode() for event in events]
        found = await self._gateway.answers(payloads, client.name, deadline_s)
        return {"decided": [{"problem" if hasattr(one, "status") else "answer": one} for one in found]}

    async def get_decision(self, request: Fields, _: float, client: Client) -> Any:
        """One that was decided before. Raises ProblemError."""
        return self._gateway.remembered(request["id"], request.get("subject"), client.name)

    def deadline_s(self, request: Fields, context: Context, spent_s: float = 0.0) -> float:
        """On our clock: the earlier of the request's and the call's, as far as the settings allow.

        spent_s: of the request's own, before its message was here.
        """
        settings, now_s = self._gateway.settings, self._clock_s()
        asked_ms, left_s = request.get("deadline_ms"), context.time_remaining()
        if asked_ms is not None and asked_ms < 1:
            raise ProblemError(Kind.MALFORMED, "deadline_ms is less than 1")
        if asked_ms is None and left_s is None:
            asked_ms = settings.deadline_ms
        allowed_s = settings.deadline_ms_max / 1000
        if asked_ms is not None:
            allowed_s = min(allowed_s, asked_ms / 1000 - spent_s)
        if left_s is not None:
            allowed_s = min(allowed_s, left_s - min(MARGIN_SHARE * left_s, MARGIN_S_MAX))
        return now_s + max(0.0, allowed_s)

    async def client(self, context: Context, scope: Scope) -> Client:
        """Who asks, before a byte of the message is taken in. Raises ProblemError."""
        left_s, settings = context.time_remaining(), self._gateway.settings
        patience_s = settings.deadline_ms / 1000 if left_s is None else min(left_s, settings.deadline_ms_max / 1000)
        return await self._gateway.access.client(asking_of(context), scope, patience_s)


def asking_of(context: Context) -> Asking:
    """What a call says of who asks."""
    headers = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
    names = context.auth_context().get("x509_common_name")
    # no page in a browser can speak gRPC, so no host name is asked for
    return Asking("localhost", token_of(headers), names[0].decode() if names else None, address_of(context))


def address_of(context: Context) -> str:
    """Of a call's client."""
    host: str = context.peer().partition(":")[2].rpartition(":")[0].replace("%5B", "").replace("%5D", "")
    return host.strip("[]")


def bounds(settings: GatewaySettings) -> list[tuple[str, int]]:
    """What a client may hold."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.body_bytes_max + OVERHEAD_BYTES),
        ("grpc.max_metadata_size", settings.head_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.head_bytes_max),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS_MAX),
        ("grpc.max_allowed_incoming_connections", settings.connections_max),
        ("grpc.max_concurrent_streams", STREAMS_MAX),
        ("grpc.max_connection_idle_ms", IDLE_MS_MAX),
        ("grpc.max_connection_age_ms", AGE_MS_MAX),
        ("grpc.max_connection_age_grace_ms", settings.deadline_ms_max + round(settings.request_s_max * 1000)),
    ]


class GrpcServer:
    """Serves the calls, their reflection and health."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._calls = gateway, Calls(gateway)
        settings = gateway.settings
        self._clients = clients_of(settings, PREFIX)
        self._calls_held = Clients(settings.connections_max, self._clients.client_max, self._clients.proxies)
        """Calls that wait for their client, for its message, or for it to read the answer; and all streams."""
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=settings.connections_max + settings.pending_events_max, options=bounds(settings)
        )
        self._health = Health(
            (health.OVERALL_HEALTH, NAME),
            lambda: gateway.ready() is True,
            self._calls_held,
            address_of,
            settings.request_s_max,
        )
        self._watching: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises AssayError."""
        settings = self._gateway.settings
        schema = parse((PROTOBUF_DIR / "gateway.proto").read_text(encoding="utf-8"))
        asks: dict[str, tuple[Scope, Ask]] = {
            "Decide": ("decide", self._calls.decide),
            "DecideMany": ("decide", self._calls.decide_many),
            "GetDecision": ("read", self._calls.get_decision),
        }
        handlers = {}
        for name, _, request, answer in CALLS:
            read = schema.named(f"{PACKAGE}.{request.__name__}").document
            encode = schema.named(f"{PACKAGE}.{answer.__name__}").encode
            handlers[name] = grpc.stream_unary_rpc_method_handler(self._handler(*asks[name], read, encode))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for module in (health_pb2, reflection_pb2):
            schema.pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        names = NAME, health.SERVICE_NAME, reflection.SERVICE_NAME
        reflected = Reflection(names, schema.pool, self._calls_held, address_of)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, self._server)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address, credentials = f"{host}:{settings.grpc_port}", credentials_of(settings)
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            raise AssayError(f"{address} cannot be listened on: free it, or set ASSAY_GATEWAY_GRPC_PORT.") from None
        await self._server.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Calls in work are finished, within a bound."""
        if self._watching is not None:
            self._watching.cancel()
            self._health.ending = True
        await self._server.stop(END_S_MAX)

    async def _watch(self) -> None:
        """Once a second: look at who holds connections."""
        sockets = CallSockets(self.port, self._clients, counting(self._gateway.metrics))
        while True:
            await asyncio.to_thread(sockets.look)
            await asyncio.sleep(LOOK_INTERVAL_S)

    def _handler(
        self, scope: Scope, ask: Ask, read: Callable[[bytes], Any], encode: Callable[[Fields], bytes]
    ) -> Callable[[AsyncIterable[bytes], Context], Awaitable[bytes]]:
        """To gRPC's server each is a call of many messages, which is on the wire the same as one of one: so it is ours from its
        first byte on, and the wait for its message has a bound.
        """
        responses, clients = self._gateway.metrics.responses, self._calls_held

        def hold_until_read(context: Context, address: str) -> None:
            place = clients.enter(address)
            context.add_done_callback(lambda _: place.leave())

        async def handle(messages: AsyncIterable[bytes], context: Context) -> bytes:
            address = address_of(context)
            try:
                client, spent_s, payload = await self._come(messages, context, scope, address)
                request = _parsed(read, payload)
                answer = await ask(request, self._calls.deadline_s(request, context, spent_s), client)
                answered = encode(without_nulls(msgspec.to_builtins(answer)))
            except ProblemError as error:
                problem = error
                self._gateway.metrics.events.labels("problem").inc()
            except Exception as error:  # a fault of ours is a problem too, named in the log and not quoted
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{PurePath(place.filename).name}:{place.lineno}"
                log.error("gateway.request_failed", error=type(error).__name__, where=where)
                problem = ProblemError(Kind.FAILED, "report it, with the line `gateway.request_failed` of the log")
            else:
                responses.labels("200").inc()
                hold_until_read(context, address)
                return answered
            responses.labels(str(problem.kind.status)).inc()
            status = rpc_status.to_status(status_of(problem))
            hold_until_read(context, address)
            await context.abort(status.code, status.details, status.trailing_metadata)
            raise AssertionError("abort raises")

        return handle

    async def _come(
        self, messages: AsyncIterable[bytes], context: Context, scope: Scope, address: str
    ) -> tuple[Client, float, bytes]:
        """Who asks, how long it took to know that, and the call's one message, which is waited for only then.

        Raises ProblemError.
        """
        if self._calls_held.refusal(address):
            raise ProblemError(Kind.BUSY, "too many calls wait for their messages: send them whole", retry_after_s=1)
        place, began_s = self._calls_held.enter(address), monotonic_s()
        try:
            client = await self._calls.client(context, scope)
            spent_s = monotonic_s() - began_s
            return client, spent_s, await self._message(messages)
        finally:
            place.leave()

    async def _message(self, messages: AsyncIterable[bytes]) -> bytes:
        """A call's one message. Raises ProblemError."""
        found: list[bytes] = []
        try:
            async with asyncio.timeout(self._gateway.settings.request_s_max):
                async for message in messages:
                    found.append(message)
                    if len(found) > 1:
                        break
        except TimeoutError:
            raise ProblemError(
                Kind.MALFORMED, "the message did not come in time (ASSAY_GATEWAY_REQUEST_S_MAX)"
            ) from None
        if len(found) != 1:
            raise ProblemError(Kind.MALFORMED, "a call has one message")
        return found[0]


def _parsed(read: Callable[[bytes], Any], payload: bytes) -> Fields:
    try:
        found: Fields = read(payload)
    except Exception as error:  # whatever Protobuf's library raises for bytes that are no message
        raise ProblemError(Kind.MALFORMED, f"the message cannot be read ({type(error).__name__})") from None
    return found


def without_nulls(value: Any) -> Any:
    """A field that is null is absent."""
    if isinstance(value, Mapping):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list | tuple) else value


def status_of(problem: ProblemError) -> status_pb2.Status:
    """A problem as gRPC has it: code, words, and the details of google.rpc that its clients read."""
    details: Problem = problem.details()
    metadata = {"type": details.type, "title": details.title}
    if details.reason is not None:
        metadata["reason"] = str(getattr(details.reason, "value", details.reason))
    found: list[Any] = [error_details_pb2.ErrorInfo(reason=problem.kind.name, domain=DOMAIN, metadata=metadata)]
    if details.errors:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.detail)
            for error in details.errors
        ]
        found.append(error_details_pb2.BadRequest(field_violations=violations))
    if problem.retry_after_s is not None:
        found.append(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=problem.retry_after_s)))
    status = status_pb2.Status(code=CODES[problem.kind].value[0], message=problem.detail)
    for detail in found:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def credentials_of(settings: GatewaySettings) -> Any:
    """The same TLS as over HTTP; None without."""
    if settings.tls_certificate_file is None:
        return None
    certificate = settings.tls_certificate_file.read_bytes()
    key = settings.tls_key_file.read_bytes() if settings.tls_key_file else certificate
    authorities = settings.tls_client_ca_file.read_bytes() if settings.tls_client_ca_file else None
    return grpc.ssl_server_credentials([(key, certificate)], authorities, authorities is not None)
