"""What is asked of an OpenID provider: over TLS alone, a bounded answer, and who it says that it is."""

import ssl
from collections.abc import Mapping
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
    """The JSON that the provider has there. Raises httpx.HTTPError, ValueError."""
    async with client.stream("GET", url) as response:
        if response.status_code != 200:
            raise ValueError(f"the provider answers with status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise ValueError("the provider's answer is too large")
    return httpx.Response(200, content=bytes(body)).json()
