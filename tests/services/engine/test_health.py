"""Who may read /metrics, and over what."""

import base64
import socket
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from services.engine.health import HealthServer
from services.errors import SettingsError
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings
from tests.services.secured import Authority

PASSWORD = "open-sesame-open"  # noqa: S105  (of a server that lives for a test)


@contextmanager
def serving(**settings: Any) -> Iterator[str]:
    """Address of a server with one metric."""
    registry = CollectorRegistry()
    Gauge("assay_here", "Here.", registry=registry).set(1)
    server = HealthServer(RuntimeSettings(http_port=0, **settings), registry, lambda: True, lambda: True)
    try:
        yield server.address
    finally:
        server.close()


def get(url: str, user: str = "", password: str = "", ca_file: Path | None = None) -> tuple[int, str]:
    """Status and body."""
    request = urllib.request.Request(url)  # noqa: S310  (ours)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    context = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_ask_for_a_password_where_one_is_set_and_probes_do_not() -> None:
    """Kubernetes asks without one."""
    with serving(http_username="prometheus", http_password=PASSWORD) as address:
        assert get(f"http://{address}/metrics")[0] == 401
        assert get(f"http://{address}/metrics", "prometheus", "wrong")[0] == 401
        status, body = get(f"http://{address}/metrics", "prometheus", PASSWORD)
        assert (status, "assay_here 1.0" in body) == (200, True)
        assert [get(f"http://{address}/{probe}")[0] for probe in ("livez", "readyz")] == [200, 200]


def test_everything_is_served_over_tls_where_a_certificate_is_set(tmp_path: Path) -> None:
    """And a client that sends no TLS holds up no one."""
    authority = Authority(tmp_path)
    certificate_file, key_file = authority.issue("scorer")
    with serving(http_tls_certificate_file=certificate_file, http_tls_key_file=key_file) as address:
        with pytest.raises((urllib.error.URLError, ConnectionError, OSError)):
            get(f"http://{address}/livez")
        assert get(f"https://{address}/metrics", ca_file=authority.ca_file)[0] == 200
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        host, port = address.split(":")
        with (
            socket.create_connection((host, int(port)), 10) as plain,
            pytest.raises(ssl.SSLError, match=r"(?i)alert"),  # sent by the server: the client would go on
        ):
            old.wrap_socket(plain)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"http_username": "prometheus"}, "ASSAY_HTTP_PASSWORD"),
        ({"http_password": PASSWORD}, "ASSAY_HTTP_USERNAME"),
        ({"http_tls_certificate_file": Path("nowhere.pem")}, "ASSAY_HTTP_TLS_CERTIFICATE_FILE"),
    ],
)
def test_half_a_setting_is_one_sentence(settings: dict[str, Any], names: str) -> None:
    """Which variables, and never the password."""
    with pytest.raises(SettingsError, match=names) as raised, serving(**settings):
        pass
    assert PASSWORD not in str(raised.value)


def test_no_secret_shows_in_a_settings_repr() -> None:
    """Nor in what a log or a traceback would print of it."""
    secrets = {"sasl_password": PASSWORD, "ssl_key_password": PASSWORD, "sasl_oauth_client_secret": PASSWORD}
    for settings in (KafkaSettings(**secrets), RuntimeSettings(privacy_key=PASSWORD, http_password=PASSWORD)):
        assert PASSWORD not in repr(settings)
        assert PASSWORD not in str(settings.model_dump())
        assert PASSWORD not in settings.model_dump_json()
