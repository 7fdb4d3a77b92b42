"""A client of the gateway for Python programs, synchronous and asynchronous: httpx, and a retry that is always harmless.

>>> with GatewayClient("http://127.0.0.1:8480", api_key="assay_...") as gateway:  # doctest: +SKIP
...     answer = gateway.decide({"transaction_id": "t-1", ...}, deadline_ms=80)
...     answer.decision, answer.stand_in
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from schemas import codec
from schemas.answer import Answered, Problem
from services.clock import monotonic_s

TRIES = 2
MARGIN_S = 0.5
"""How much longer than the deadline a call takes at most, a second try included: for the network, or a gateway that hangs."""
DEADLINE_MS = 100


class GatewayProblemError(Exception):
    """An event that was not decided. problem: why; retry_after_s: when to try again, where that helps."""

    def __init__(self, problem: Problem, retry_after_s: float | None) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem, self.retry_after_s = problem, retry_after_s


class GatewayClient:
    """Asks a gateway; safe to use from several threads."""

    def __init__(self, url: str, api_key: str | None = None, margin_s: float = MARGIN_S, **options: Any) -> None:
        """margin_s: a call ends so long after its deadline at the latest. options: of httpx.Client, as `verify` for TLS."""
        self._margin_s = margin_s
        self._client = httpx.Client(base_url=url, headers=_headers(api_key), **options)

    def decide(self, event: Mapping[str, Any] | bytes, deadline_ms: int = DEADLINE_MS) -> Answered:
        """The decision on one event. A broken connection is tried again once. Raises GatewayProblemError, httpx.HTTPError."""
        until_s = monotonic_s() + deadline_ms / 1000 + self._margin_s
        for left in reversed(range(TRIES)):
            try:
                return _answered(self._client.post("/v1/events", **_request(event, deadline_ms, until_s)))
            except httpx.TransportError:
                if not left or monotonic_s() >= until_s:
                    raise
        raise AssertionError("unreachable")

    def decision(self, event_id: str, subject: str | None = None) -> Answered:
        """The decision on an event that was sent before. Raises GatewayProblemError, httpx.HTTPError."""
        return _answered(self._client.get(_path(event_id), params=_of(subject)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._client.close()


class AsyncGatewayClient:
    """The same for asyncio."""

    def __init__(self, url: str, api_key: str | None = None, margin_s: float = MARGIN_S, **options: Any) -> None:
        """As GatewayClient; options: of httpx.AsyncClient."""
        self._margin_s = margin_s
        self._client = httpx.AsyncClient(base_url=url, headers=_headers(api_key), **options)

    async def decide(self, event: Mapping[str, Any] | bytes, deadline_ms: int = DEADLINE_MS) -> Answered:
        """As GatewayClient.decide."""
        until_s = monotonic_s() + deadline_ms / 1000 + self._margin_s
        for left in reversed(range(TRIES)):
            try:
                return _answered(await self._client.post("/v1/events", **_request(event, deadline_ms, until_s)))
            except httpx.TransportError:
                if not left or monotonic_s() >= until_s:
                    raise
        raise AssertionError("unreachable")

    async def decision(self, event_id: str, subject: str | None = None) -> Answered:
        """As GatewayClient.decision."""
        return _answered(await self._client.get(_path(event_id), params=_of(subject)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._client.aclose()


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def _of(subject: str | None) -> dict[str, str]:
    return {} if subject is None else {"subject": subject}


def _path(event_id: str) -> str:
    """An id may hold any printable character."""
    return f"/v1/decisions/{quote(event_id, safe='')}"


def _request(event: Mapping[str, Any] | bytes, deadline_ms: int, until_s: float) -> dict[str, Any]:
    content = event if isinstance(event, bytes) else codec.encode(dict(event))
    left_s = max(0.001, until_s - monotonic_s())
    return {"content": content, "headers": {"Assay-Deadline-Ms": str(deadline_ms)}, "timeout": left_s}


def _answered(response: httpx.Response) -> Answered:
    if response.is_success:
        return codec.read(Answered, response.content)
    try:
        problem = codec.read(Problem, response.content)
    except codec.RejectedError:
        response.raise_for_status()
        raise
    after = response.headers.get("Retry-After", "")
    raise GatewayProblemError(problem, float(after) if after.isdigit() else None)
