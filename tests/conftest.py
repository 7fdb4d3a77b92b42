"""What every test may use: one Apache Kafka for the whole run, and topic names that no one else has."""

import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from services.broker import EmbeddedKafka, EmbeddedRegistry
from tests.services.harness import BUNDLES, Stream

for name, value in BUNDLES.items():
    os.environ.setdefault(name, value)
settings.register_profile("any machine", deadline=None)  # how long an example takes says nothing on a busy one
settings.load_profile("any machine")


SKIPS = {
    "gpu": "needs an NVIDIA GPU",
    "data": "set ASSAY_DATA_DIR",
    "kubernetes": "neither kubectl nor kustomize",
    "helm": "helm is not installed",
    "prometheus": "apt-get install prometheus",
    "browser": "A browser is needed",
    "jdk": "install a JDK",
    "postgresql": "PostgreSQL is not installed",
    "linux": "Linux",
    "previous": "set PREVIOUS_ASSAY",
    "images": "set BUILD_IMAGE",
    "peers": "`assay bench throughput",
}
"""Why a test may be skipped, by what is missing where it runs: a part of the skip's reason."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """--expected-skips gpu,data: any other skip fails the run, so that none goes unnoticed in continuous integration."""
    parser.addoption("--expected-skips", default=None, metavar=",".join(SKIPS), help="fail on any other skip")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped what it was not expected to."""
    expected, config = session.config.getoption("--expected-skips"), session.config
    if expected is None or hasattr(config, "workerinput"):
        return
    reasons = [SKIPS[name] for name in expected.split(",") if name]
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for report in reporter.stats.get("skipped", []) if reporter else []:
        if not any(reason in str(report.longrepr) for reason in reasons):
            reporter.write_line(f"UNEXPECTED SKIP: {report.nodeid}: {report.longrepr}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


BESIDE_OTHERS = ("test_fuzz.py", "test_guarantees.py")
"""Of the fault suite: what no load of others changes."""
HEAVY_MARKERS, HEAVY = ("broker", "train"), 100
"""Tests that take as long as so many others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the broker, so that `-m "not broker"` runs without Java, and what wants the machine for itself.

    Short benchmarks run beside others: their figures are not judged, but in two, which have the marker themselves.

    The longest files come first, so that no worker is left alone with one at the end.
    """
    for item in items:
        folders = set(item.path.relative_to(item.config.rootpath).parts)
        if {"chaos", "benchmarks"} & folders:
            item.add_marker("slow")
        if "chaos" in folders and item.path.name not in BESIDE_OTHERS:
            item.add_marker("alone")
        if {"kafka_bootstrap", "schema_registry"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("broker")
    weights = Counter[Path]()
    for item in items:
        weights[item.path] += HEAVY if set(HEAVY_MARKERS) & {mark.name for mark in item.iter_markers()} else 1
    items.sort(key=lambda item: (-weights[item.path], str(item.path)))  # files whole, each in its own order


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Address of an embedded Kafka, started when the first test asks for it and shared by all."""
    with EmbeddedKafka(quick=True) as kafka:
        yield kafka.bootstrap


@pytest.fixture(scope="session")
def schema_registry() -> Iterator[str]:
    """Address of a real schema registry, started when the first test asks for it and shared by all."""
    with EmbeddedRegistry() as registry:
        yield registry.url


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for this test's topics, groups and transactional ids."""
    return f"t-{uuid.uuid4().hex[:12]}."


@pytest.fixture
async def stream(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Stream]:
    """Topics created; every scorer ended afterwards."""
    stream = Stream(kafka_bootstrap, topic_prefix, tmp_path)
    await stream.create()
    yield stream
    stream.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[None]:
    """A real S3 server (moto) in this process, and the environment that leads there. One: fsspec keeps its connections."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
    server.stop()
