"""When the TLS files expire, as metrics: afterwards the brokers cannot be reached, nor this process."""

from pathlib import Path

from cryptography import x509

from services.errors import SettingsError
from services.observability.metrics import Metrics
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings


def show_expiry(kafka: KafkaSettings, runtime: RuntimeSettings, metrics: Metrics) -> None:
    """Set the metric for each file that is given. Raises SettingsError where one holds no certificate."""
    files = (
        ("ca", kafka.ssl_ca_file),
        ("client", kafka.ssl_certificate_file),
        ("http", runtime.http_tls_certificate_file),
    )
    for name, path in files:
        if path is not None:
            metrics.certificates.labels(name).set(_expiry_s(path))


def _expiry_s(path: Path) -> float:
    """When the first of a file's certificates expires, Unix time."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"The TLS file {path} cannot be used ({error}): give a PEM file with a certificate."
        ) from None
    return min(certificate.not_valid_after_utc.timestamp() for certificate in found)
