"""What is asked of an OpenID provider: over TLS alone, a bounded answer, and who it says that it is."""

import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from services.errors import SettingsError

DISCOVERY = "/.well-known/openid-configuration"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_BYTES_MAX = 1 << 20


class AnotherProviderError(ValueError):
    """A discovery document that is not the issuer's, or leads elsewhere than over TLS."""


def is_trusted(url: str) -> bool:
    """Over TLS, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def tls_context(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Whom to trust as the provider; None: whom the system trusts. Raises SettingsError, which names the setting."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{setting} cannot be used ({error.strerror}): give a PEM file.") from None


class _Bounded(httpx.AsyncByteStream):
    """Bytes of an answer, up to a bound. Raises ValueError."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read_bytes = 0
        async for part in self._stream:
            read_bytes += len(part)
            if read_bytes > ANSWER_BYTES_MAX:
                raise ValueError("the provider's answer is too large")
            yield part

    async def aclose(self) -> None:
        """Read no further."""
        await self._stream.aclose()


async def _ask_plainly(request: httpx.Request) -> None:
    request.headers["Accept-Encoding"] = "identity"


async def _bound(response: httpx.Response) -> None:
    """Nothing packed is taken: a few bytes of that may be gigabytes before anyone can count them."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError("the provider's answer is packed, which was not asked for")
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Bounded(response.stream)


BOUNDED: Mapping[str, list[Any]] = {"request": [_ask_plainly], "response": [_bound]}
"""Event hooks of every client that asks a provider: its answers end at a bound, else ValueError is raised."""


async def discovered(client: httpx.AsyncClient, issuer: str, *needed: str) -> Mapping[str, Any]:
    """The issuer's discovery document, with the addresses that are needed of it. Raises httpx.HTTPError, ValueError."""
    found = await answer_of(client, issuer.rstrip("/") + DISCOVERY)
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise AnotherProviderError("the discovery document is of another issuer")
    for name in needed:
        if not is_trusted(str(found.get(name))):
            raise AnotherProviderError(f"{name} is not an https:// address")
    return found


async def answer_of(client: httpx.AsyncClient, url: str) -> Any:
    """The JSON that the provider has there. client: with the hooks of `BOUNDED`. Raises httpx.HTTPError, ValueError."""
    response = await client.get(url)
    if response.status_code != 200:
        raise ValueError(f"the provider answers with status {response.status_code}")
    try:
        return response.json()
    except RecursionError:
        raise ValueError("the provider's answer is nested too deep") from None
