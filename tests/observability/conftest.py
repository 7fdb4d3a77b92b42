"""One running system for the tests of this folder."""

import datetime
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.observability import live as system
from tests.observability.prometheus import needed


@pytest.fixture(scope="module")
def live(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[system.Live]:
    """Every service under load, scraped by Prometheus."""
    needed("prometheus")
    directory = tmp_path_factory.mktemp("live")
    running = system.start(kafka_bootstrap, f"t-{uuid.uuid4().hex[:12]}.", directory, expiring(directory / "ca.pem"))
    yield running
    running.close()


def expiring(file: Path) -> Path:
    """A CA certificate with five days left."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    made = builder.not_valid_after(now + datetime.timedelta(5)).sign(key, hashes.SHA256())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return file
