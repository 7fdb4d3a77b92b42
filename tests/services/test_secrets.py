"""No secret in a log, an error, a `repr` or a metric: every secret that a setting takes, in services that run and that fail."""

import asyncio
import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fsspec.spec import AbstractFileSystem
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from models.bundle import container
from models.bundle.keys import PrivateKey, SealKey
from services.cases.webhook import Webhook
from services.errors import AssayError, SettingsError
from services.kafka.oauth import ClientCredentials
from services.observability.metrics import Metrics
from services.privacy.subject_keys import SubjectKey
from services.settings.bundles import BundleSettings
from services.settings.console import ConsoleSettings
from services.settings.loading import load
from services.settings.names import settings_classes
from services.settings.scorer import ScorerSettings
from services.settings.secrets import Found, shown_url, without_secrets
from services.storage import open_storage
from services.swapping.loader import Loader
from tests.models.bundle.making import COMMITTED, read_raw
from tests.services.harness import Scorer, Stream, payment
from tests.services.secured import Authority

MARKER = "s3cr3t-marker"
URLS = {
    "webhook_url",
    "snapshot_url",
    "registry_url",
    "salts_url",
    "sasl_oauth_token_url",
    "oidc_jwks_url",
    "database_url",
}
NOT_SHOWN = {"key_command", "previous_key_command", "bundle_seal_key_command", *URLS}
"""May hold a secret, and need not."""

KEYS = {"key", "previous_key", "bundle_seal_key"}
"""32 bytes in base64."""


def fields_of(kind: Any) -> list[tuple[type[BaseSettings], str, str]]:
    """Settings, field and variable of each field that `kind` picks."""
    found = []
    for settings in settings_classes():
        prefix = settings.model_config.get("env_prefix", "")
        for name, field in settings.model_fields.items():
            if kind(name, field):
                found.append((settings, name, f"{prefix}{name.upper()}"))
    return found


SECRETS = fields_of(lambda name, field: SecretStr in getattr(field.annotation, "__args__", (field.annotation,)))


def secret(name: str, variable: str) -> str:
    """A value for a secret that the setting takes, and that has the marker in it."""
    text = f"{MARKER} {variable}"
    return base64.b64encode(text.encode().ljust(32, b".")[-32:]).decode() if name in KEYS else text


VALUES = {variable: secret(name, variable) for _, name, variable in SECRETS}


def shown(text: str) -> list[str]:
    """Which secrets stand in a text: as they were given, decoded, in hex, or in base64 of their own."""
    forms = {variable: {value, base64.b64encode(value.encode()).decode()} for variable, value in VALUES.items()}
    for _, name, variable in SECRETS:
        if name in KEYS:
            raw = base64.b64decode(VALUES[variable])
            forms[variable] |= {raw.decode("latin-1"), raw.hex(), repr(raw)[2:-1]}
    found = [variable for variable, values in forms.items() if any(value in text for value in values)]
    return found + [MARKER] * (MARKER in text)


def test_every_setting_that_sounds_secret_is_one() -> None:
    """A new password that is plain text in its settings class does not pass."""
    sounding = fields_of(
        lambda name, field: (
            name.rpartition("_")[2] in ("key", "password", "secret", "token") and "Path" not in str(field.annotation)
        )
    )
    whole_urls = {"ASSAY_CONSOLE_DATABASE_URL"}  # secret as a whole, in place of what stands in it
    assert {variable for *_, variable in sounding} | whole_urls == set(VALUES)
    assert len(VALUES) >= 9


def test_no_settings_object_shows_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """repr, str, its dump as JSON; nor what is made of them."""
    for variable, value in VALUES.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ASSAY_CASES_WEBHOOK_URL", f"https://hooks.example/{MARKER}")
    urls = fields_of(lambda name, _: name.endswith("_url"))
    assert {name for _, name, _ in urls} == URLS | {"grafana_url"}  # which is shown on pages, and refused with a secret
    for *_, variable in (url for url in urls if url[1] in URLS):
        monkeypatch.setenv(variable, f"https://user:{MARKER}@hooks.example/?token={MARKER}")
    monkeypatch.setenv("ASSAY_SUBJECT_KEY_COMMAND", f"vault read -token={MARKER}")
    monkeypatch.setenv("ASSAY_BUNDLE_SEAL_KEY_COMMAND", f"vault read -token={MARKER}")
    for settings in settings_classes():
        made = settings()
        for text in (repr(made), str(made), f"{made}", repr([made])):
            assert shown(text) == [], settings
        masked = made.model_dump_json(exclude=NOT_SHOWN)
        assert shown(masked) == [], settings
    webhook = Webhook(f"https://{MARKER}@hooks.example", MARKER.encode(), 1, 1.0)
    for value in (SealKey(MARKER.encode()), Found(MARKER, "here"), webhook):
        assert shown(repr(value)) == []
    assert "cipher" in repr(SubjectKey("r", "s", None))  # type: ignore[arg-type]  # an AESGCM object shows its address alone


def test_the_check_itself_finds_secrets() -> None:
    """In each of the forms that it knows."""
    for _, name, variable in SECRETS:
        value = VALUES[variable]
        forms = [value, f"x{value}y"]
        if name in KEYS:
            forms += [base64.b64decode(value).hex(), str(base64.b64decode(value))]
        for form in forms:
            assert variable in shown(form)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://AKIA:abc/SECRET@bucket/x", "s3://bucket/x"),
        ("redis://user:SEC#RET@host/1", "redis://host/1"),
        ("s3://key:SECRET@bucket/path?token=SECRET", "s3://bucket/path"),
        ("https://user:SECRET@host:8080/a", "https://host:8080/a"),
        ("/a/directory", "/a/directory"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, text: str) -> None:
    """User, password, query."""
    assert shown_url(url) == text


class Refusing(AbstractFileSystem):  # type: ignore[misc]
    """A store whose driver quotes the whole URL in its errors, as some do."""

    protocol = "refusing"

    def exists(self, path: str, **_: Any) -> bool:
        """Says no, in too many words."""
        raise PermissionError(f"403 for refusing://user:{MARKER}@bank/models?token={MARKER}: denied")

    makedirs = ls = exists


def test_no_sentence_on_a_store_that_fails_shows_the_password_in_its_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the setting's URL nor the one that the driver quotes; a log line of it is cleaned too."""
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    url = f"refusing://user:{MARKER}@bank/models?token={MARKER}"
    monkeypatch.setenv("ASSAY_REGISTRY_URL", url)
    monkeypatch.setenv("ASSAY_ALLOW_UNSIGNED_BUNDLES", "1")
    with pytest.raises(AssayError, match="refusing://bank/models") as caught:
        Loader(load(ScorerSettings), load(BundleSettings), Metrics()).first()
    assert shown(str(caught.value)) == []
    with pytest.raises(OSError, match="refusing://bank/models") as refused:
        open_storage(url).write("a", lambda file: None)
    assert shown(str(refused.value)) == []
    assert without_secrets("at http://[bad/x") == "at http://***"


async def test_a_token_endpoint_that_gives_none_is_a_sentence_without_secrets() -> None:
    """Not the client's, not those in its URL."""
    with pytest.raises(SettingsError, match="gives no token") as caught:
        await ClientCredentials(f"http://assay:{MARKER}@127.0.0.1:9/token?x={MARKER}", "assay", MARKER, None).token()
    assert shown(str(caught.value)) == []


def ours(stream: Stream) -> dict[str, str]:
    """Every secret set, and a log as full as it gets."""
    return {
        **VALUES,
        "ASSAY_LOG_LEVEL": "DEBUG",
        "ASSAY_HTTP_USERNAME": "prometheus",
        "ASSAY_KAFKA_SASL_USERNAME": "assay",
        "ASSAY_KAFKA_SASL_OAUTH_CLIENT_ID": "assay",
        "ASSAY_PSEUDONYM_PREVIOUS_KEY_ID": "k0",
        "ASSAY_SUBJECT_SALTS_URL": str(stream.directory / "salts"),
        "ASSAY_DECISION_SHARE": "1",
        "ASSAY_CASES_WEBHOOK_URL": "http://127.0.0.1:9/hook",
        "ASSAY_CASES_WEBHOOK_ATTEMPTS_MAX": "2",
    }


def page(service: Scorer) -> str:
    """/metrics, with the password."""
    pair = f"prometheus:{VALUES['ASSAY_HTTP_PASSWORD']}".encode()
    request = urllib.request.Request(
        f"http://{service.address()}/metrics", headers={"Authorization": "Basic " + base64.b64encode(pair).decode()}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode())


@pytest.mark.slow
async def test_services_that_run_show_no_secret(stream: Stream) -> None:
    """Their logs at DEBUG, their metrics, what they write; a webhook that no one answers is among it."""
    environment = ours(stream)
    services = [
        stream.service(f"services.{name}", **environment)
        for name in ("scorer", "profiler", "credit", "cases", "monitor")
    ]
    for service in services:
        await asyncio.to_thread(service.wait_ready)
    await stream.send(
        [json.dumps(payment(i, amount=5000.0 if i % 20 == 0 else 25.0)).encode() for i in range(600)] + [b"bad"]
    )
    await stream.caught_up(services)
    assert await stream.read("alerts")
    await asyncio.to_thread(services[3].wait_for_log, "webhook.failed")
    pages = [page(service) for service in services]
    assert all("assay_" in text for text in pages)
    assert services[0].get("/metrics")[0] == 401
    for service in services:
        service.terminate()
    assert [shown(text) for text in pages] == [[]] * len(pages)
    assert [shown(service.log()) for service in services] == [[]] * len(services)
    for topic in ("scores", "alerts", "decisions", "dead-letters", "cases", "control"):
        for record in await stream.read(topic):
            assert shown((record.key or b"").decode() + record.value.decode()) == []


def encrypted_key(directory: Path) -> dict[str, str]:
    """A client certificate whose key another password opens."""
    certificate, key_file = Authority(directory).issue("assay-scorer")
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, PrivateKey | ec.EllipticCurvePrivateKey)
    encryption = serialization.BestAvailableEncryption(b"another password")
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return {
        "ASSAY_KAFKA_SECURITY_PROTOCOL": "SSL",
        "ASSAY_KAFKA_SSL_CERTIFICATE_FILE": str(certificate),
        "ASSAY_KAFKA_SSL_KEY_FILE": str(key_file),
    }


def sealed_elsewhere(directory: Path) -> dict[str, str]:
    """A bundle that our key does not open."""
    sealed = container.seal(container.pack(read_raw(COMMITTED)), SealKey(b"o" * 32))
    (directory / "bundle.sealed").write_bytes(sealed)
    return {"ASSAY_BUNDLE": str(directory / "bundle.sealed")}


FAILING: dict[str, tuple[str, Any]] = {
    "a login where none is asked for": ("does not answer", {"ASSAY_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}),
    "no broker": ("does not answer", {"ASSAY_KAFKA_BOOTSTRAP": "127.0.0.1:9"}),
    "a TLS key with another password": ("check paths and password", encrypted_key),
    "a bundle sealed with another key": ("and the key here is", sealed_elsewhere),
    "a seal key that is none": (
        "ASSAY_BUNDLE_SEAL_KEY holds no key",
        lambda directory: {**sealed_elsewhere(directory), "ASSAY_BUNDLE_SEAL_KEY": MARKER},
    ),
    "a subject key that is none": ("ASSAY_SUBJECT_KEY holds no key", {"ASSAY_SUBJECT_KEY": MARKER}),
    "a key command that fails loudly": (
        "ASSAY_SUBJECT_KEY_COMMAND gave no key",
        lambda directory: {
            "ASSAY_SUBJECT_KEY": None,
            "ASSAY_SUBJECT_KEY_COMMAND": f"sh -c 'echo {MARKER}; echo {MARKER} >&2; exit 3'",
        },
    ),
    "a password without a name": ("belong together", {"ASSAY_HTTP_USERNAME": None}),
    "a store with credentials in its URL": (
        "nothing://bucket/x cannot be opened",
        {"ASSAY_SNAPSHOT_URL": f"nothing://key:{MARKER}@bucket/x?token={MARKER}"},
    ),
    "a setting that is not usable": ("ASSAY_HTTP_PORT is not usable", {"ASSAY_HTTP_PORT": MARKER}),
    "a webhook without its secret": ("ASSAY_CASES_WEBHOOK_SECRET is needed", {"ASSAY_CASES_WEBHOOK_SECRET": None}),
}


@pytest.mark.parametrize(("why", "failing"), FAILING.values(), ids=FAILING.keys())
async def test_services_that_fail_show_no_secret(stream: Stream, why: str, failing: Any) -> None:
    """One sentence, no traceback, exit status 2, whatever is wrong."""
    changes = failing(stream.directory) if callable(failing) else failing
    environment = {name: value for name, value in {**ours(stream), **changes}.items() if value is not None}
    name = "cases" if "ASSAY_CASES_WEBHOOK_SECRET" in changes else "scorer"
    service = stream.service(f"services.{name}", **environment)
    assert await asyncio.to_thread(service.wait) == 2
    log = service.log()
    assert shown(log) == []
    assert "Traceback" not in log
    (sentence,) = [line for line in log.splitlines() if line.startswith("assay: ")]
    assert why in sentence


@pytest.mark.parametrize("url", [f"https://user:{MARKER}@grafana.example", f"https://grafana.example/?token={MARKER}"])
def test_an_address_that_pages_show_holds_no_secret(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, without the secret in the message."""
    monkeypatch.setenv("ASSAY_CONSOLE_GRAFANA_URL", url)
    with pytest.raises(SettingsError, match="without user, password or query") as refused:
        load(ConsoleSettings)
    assert MARKER not in str(refused.value)
