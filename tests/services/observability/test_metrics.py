"""The metrics themselves: histograms fed arrays, exemplars, partitions that come and go, certificates."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.errors import SettingsError
from services.kafka.certificates import show_expiry
from services.observability.histogram import BulkHistogram
from services.observability.metrics import Metrics
from services.observability.renamed import RENAMED
from services.settings.kafka import KafkaSettings
from services.settings.processing import RuntimeSettings


def test_a_renamed_metric_is_shown_under_its_old_name_too_and_says_so() -> None:
    """A rule of the version before keeps firing; its help names the metric to ask for."""
    metrics = Metrics()
    metrics.held.labels("3").set(1)
    for old, name in RENAMED.items():
        assert metrics.registry.get_sample_value(old, {"partition": "3"}) == 1
        assert f"# HELP {old} Deprecated: use {name}." in generate_latest(metrics.registry).decode()


def test_an_array_falls_into_the_buckets_of_its_values() -> None:
    """As if each value had been observed alone: an edge belongs to its bucket."""
    registry = CollectorRegistry()
    histogram = BulkHistogram("h", "Help.", (1.0, 2.0, 5.0), registry)
    histogram.observe(np.array([0.5, 1.0, 1.5, 5.0, 9.0]))
    histogram.observe(2.0)
    found = {edge: registry.get_sample_value("h_bucket", {"le": edge}) for edge in ("1.0", "2.0", "5.0", "+Inf")}
    assert found == {"1.0": 2, "2.0": 4, "5.0": 5, "+Inf": 6}
    assert registry.get_sample_value("h_sum") == 19.0


def test_an_exemplar_is_told_with_its_bucket() -> None:
    """In the OpenMetrics form, which Prometheus asks for."""
    registry = CollectorRegistry()
    histogram = BulkHistogram("h", "Help.", (1.0, 2.0), registry)
    histogram.observe(np.array([0.5, 1.5]), exemplar=({"partition": "3", "offset": "17"}, 1.5))
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    told = {sample.labels["le"]: sample.exemplar for sample in family.samples if sample.exemplar}
    assert list(told) == ["2.0"]
    assert told["2.0"].labels == {"partition": "3", "offset": "17"}
    assert told["2.0"].value == 1.5


def test_a_partition_that_is_shown_begins_at_zero_and_is_forgotten_when_it_goes() -> None:
    """A lag that no one updates any more would alarm for ever; what was counted stays."""
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    metrics.show_partition("2")
    assert value("assay_records_total", {"partition": "2"}) == 0
    assert value("assay_partition_held", {"partition": "2"}) == 0
    metrics.records.labels("2").inc(5)
    metrics.lag.labels("2").set(99)
    metrics.forget_partition("2")
    assert value("assay_lag_records", {"partition": "2"}) is None
    assert value("assay_partition_held", {"partition": "2"}) is None
    assert value("assay_records_total", {"partition": "2"}) == 5
    metrics.forget_partition("2")


def certificate(days: int) -> bytes:
    """A self-signed one, as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    made = builder.not_valid_after(start + datetime.timedelta(days)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def test_the_first_certificate_of_a_file_to_expire_is_what_counts(tmp_path: Path) -> None:
    """A chain is as good as its shortest."""
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate(300) + certificate(10) + certificate(700))
    metrics = Metrics()
    show_expiry(KafkaSettings(ssl_ca_file=file), RuntimeSettings(), metrics)
    expected = datetime.datetime(2026, 1, 11, tzinfo=datetime.UTC).timestamp()
    value = metrics.registry.get_sample_value
    assert value("assay_certificate_expiry_timestamp_seconds", {"file": "ca"}) == expected
    assert value("assay_certificate_expiry_timestamp_seconds", {"file": "client"}) is None


def test_a_file_without_certificate_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """At the start, not at the first connection."""
    file = tmp_path / "empty.pem"
    file.write_text("nothing")
    with pytest.raises(SettingsError, match=r"TLS file .*empty\.pem cannot be used"):
        show_expiry(KafkaSettings(ssl_certificate_file=file), RuntimeSettings(), Metrics())
