"""Mutual TLS with real certificates over a real socket."""

import json
import ssl
from pathlib import Path

import httpx
import pytest

from services.settings.gateway import GatewaySettings
from tests.services.gateway.asking import JSON
from tests.services.gateway.serving import Written, served
from tests.services.harness import payment
from tests.services.secured import Authority


def _context(authority: Authority, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


async def test_a_clients_certificate_says_who_asks_and_without_one_of_the_authority_no_one_does(tmp_path: Path) -> None:
    """Its common name is in the log beside the event; no certificate, and one of another authority, get no connection."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "others").mkdir()
    authority, other = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    certificate, key = authority.issue("gateway")
    settings = GatewaySettings(
        host="0.0.0.0",  # noqa: S104  (credentials are set)
        port=0,
        deadline_ms=20,
        tls_certificate_file=certificate,
        tls_key_file=key,
        tls_client_ca_file=authority.ca_file,
    )
    written = Written()
    async with served(settings, written) as port:
        url, body = f"https://127.0.0.1:{port}/v1/events", json.dumps(payment(1)).encode()
        async with httpx.AsyncClient(verify=_context(authority, authority.issue("checkout"))) as client:
            response = await client.post(url, content=body, headers=JSON)
            assert response.status_code == 200
            assert response.json()["stand_in"]
        for refused in (None, other.issue("checkout")):
            async with httpx.AsyncClient(verify=_context(authority, refused)) as client:
                with pytest.raises(httpx.TransportError):
                    await client.post(url, content=body, headers=JSON)
    assert [event.client for event in written] == ["cert.checkout"]
