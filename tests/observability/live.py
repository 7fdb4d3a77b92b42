"""The whole system under load, seen by a real Prometheus, and the faults that alerts are for."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from models.bundle.keys import public_pem
from models.policy.policy_file import parse_policy
from models.policy.signed import signed as signed_policy
from models.policy.signed import write_policy
from schemas import codec
from schemas.credit_label import CreditLabel
from schemas.topics import CREDIT_LABELS
from services.clock import wall_ms
from services.console.users import make_user, write_users
from tests.models.bundle.making import signed, signing_key, version_of
from tests.observability.prometheus import WAIT_S_MAX, Prometheus
from tests.services.console.conftest import PASSWORD, Client
from tests.services.credit.making import version_of as credit_version_of
from tests.services.entities.making import bundle_of_entities, environment_of
from tests.services.harness import ROOT, Scorer, Stream, payment

PAYMENTS = ("--rate", "200", "--bad-share", "0.002", "--label-delay-days", "1", "--customers", "200")
"""Some of them bad, and labels."""
APPLICATIONS_SEED, LABELLED = 7, 2_000
APPLICATIONS = ("--rate", "20", "--bad-share", "0.01", "--seed", str(APPLICATIONS_SEED))
MARK = "do-not-show-me"
"""In payloads that cannot be scored: it must turn up nowhere."""


CREDIT_POLICY = ROOT / "docs/examples/credit_policy.yaml"
POLICY = """
name: fraud
version: 1
rules:
  - {name: paid, words: anything is paid, condition: amount > 0, action: challenge, owner: a test}
budget:
  counts: alerts
  per_day: 100000
  time_zone: UTC
  probability: {lowest: 0.66, highest: 0.67}
"""
"""A rule that holds and asks for no alert; a budget that moves the threshold next to the bundle's, so alerts stay as many."""


class Collector:
    """An OpenTelemetry collector, as far as a test needs one: keeps the spans that are sent to it. Takes webhooks too."""

    def __init__(self) -> None:
        spans: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request, body = ExportTraceServiceRequest(), self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    request.ParseFromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
                """Requests are not news."""

        self.spans = spans
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class Caller:
    """Asks a gateway for decisions, one after the other, one of ten without a field that it must have."""

    def __init__(self, gateway: Scorer) -> None:
        self._stopped = threading.Event()
        self._url = f"http://{gateway.address()}/v1/events"
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        number = 0
        while not self._stopped.wait(0.2):
            number += 1
            event = payment(number, transaction_id=f"asked-{number}", event_time_ms=1_700_000_000_000)
            if number % 10 == 0:
                del event["amount"]
            with suppress(httpx.HTTPError):
                httpx.post(self._url, json=event, timeout=10)

    def close(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self._thread.join()


class Clerk:
    """An analyst who takes the next case from the console, again and again."""

    def __init__(self, console: Scorer) -> None:
        console.wait_ready()
        self._stopped = threading.Event()
        self._client = Client(base_url=f"http://{console.address()}", timeout=30)
        assert self._client.login("ana").status_code == 303
        self._csrf = self._client.csrf
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._stopped.wait(1):
            with suppress(httpx.HTTPError):
                self._client.post("/next", data={"csrf": self._csrf})

    def close(self) -> None:
        """Take no more."""
        self._stopped.set()
        self._thread.join()
        self._client.close()


@dataclass
class Live:
    """What runs."""

    stream: Stream
    prometheus: Prometheus
    collector: Collector
    services: dict[str, list[Scorer]]
    loads: "list[subprocess.Popen[bytes]]"
    caller: "Caller"
    clerk: "Clerk"
    answered: dict[str, int] = field(default_factory=dict)

    @property
    def scorer(self) -> Scorer:
        """The first one."""
        return self.services["assay-scorer"][0]

    def send(self, payloads: Iterable[bytes]) -> None:
        """Write to `transactions`."""
        asyncio.run(self.stream.send(payloads))

    def missing(self, asked: Iterable[tuple[str, str]]) -> list[str]:
        """Names of those expressions that give nothing, however long one waits."""
        open_ones = dict(asked)
        deadline = time.monotonic() + WAIT_S_MAX
        while open_ones and time.monotonic() < deadline:
            for process in (process for processes in self.services.values() for process in processes):
                assert process.returncode is None, f"a service ended: {process.log()[-2000:]}"
            for name, expr in list(open_ones.items()):
                if self.prometheus.query(expr):
                    del open_ones[name]
            if open_ones:
                time.sleep(0.5)
        return sorted(open_ones)

    def close(self) -> None:
        """End everything."""
        self.caller.close()
        self.clerk.close()
        for load in self.loads:
            load.kill()
            load.wait()
        self.stream.close()
        self.prometheus.close()
        self.collector.close()


def start(bootstrap: str, prefix: str, directory: Path, ca_file: Path) -> Live:
    """Every service, load on it, Prometheus over it. What was started ends if the rest cannot be."""
    with ExitStack() as stack:
        stream = Stream(bootstrap, prefix, directory)
        asyncio.run(stream.create())
        stack.callback(stream.close)
        collector = Collector()
        stack.callback(collector.close)
        bundles = made(stream)
        release(stream, bundles, "v1", "fraud/1")
        services = started(stream, collector, {**bundles, "ASSAY_KAFKA_SSL_CA_FILE": str(ca_file)})
        addresses = {job: [process.address() for process in processes] for job, processes in services.items()}
        prometheus = Prometheus(directory, addresses)
        stack.callback(prometheus.close)
        release(stream, bundles, "v2", "fraud/2", "--challenger")
        release(stream, bundles, "credit-2", "credit/2", "--challenger", product="credit")
        asyncio.run(label_loans(stream))
        loads = [simulator(stream, "simulate", *PAYMENTS), simulator(stream, "credit", "simulate", *APPLICATIONS)]
        for load in loads:
            stack.callback(load.kill)
        scorer = services["assay-scorer"][0]
        # what the caller asks about is years later than the simulated payments: before them it would stop the log's clock
        prometheus.until(lambda: scorer.metric("assay_scores_total") > 100, "nothing is scored")
        clerk = Clerk(services["assay-console"][0])
        caller = Caller(services["assay-gateway"][0])
        running = Live(stream, prometheus, collector, services, loads, caller, clerk)
        stack.pop_all()
    return running


def started(stream: Stream, collector: Collector, environment: dict[str, str]) -> dict[str, list[Scorer]]:
    """Every service, by the job under which it is scraped."""
    tracing = {
        "ASSAY_TRACE_SHARE": "0.01",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    watching = {"ASSAY_MONITOR_WINDOW_RECORDS": "500", "ASSAY_MONITOR_QUALITY_INTERVAL_S": "1"}
    lending = {
        "ASSAY_CREDIT_MONITOR_WINDOW_RECORDS": "100",
        "ASSAY_CREDIT_MONITOR_WINDOW_H": "0",
        "ASSAY_CREDIT_MONITOR_QUALITY_INTERVAL_S": "1",
    }
    webhook = {
        "ASSAY_CASES_WEBHOOK_URL": f"{collector.endpoint}/cases",
        "ASSAY_CASES_WEBHOOK_SECRET": "a webhook secret",
    }
    entities = environment_of(bundle_of_entities(stream.directory / "entities"))
    users = stream.directory / "users.json"
    write_users(users, [make_user("ana", "analyst", PASSWORD, wall_ms())])
    console = {
        "ASSAY_CONSOLE_PORT": "0",
        "ASSAY_CONSOLE_USERS_FILE": str(users),
        "ASSAY_CONSOLE_DATABASE_URL": f"sqlite:///{stream.directory}/console.db",
    }
    deciding = {"ASSAY_REASONS_PER_MINUTE_MAX": "2"}  # so that any load is a storm
    policy = stream.directory / "fraud-1.policy"
    write_policy(policy, signed_policy(parse_policy(POLICY), signing_key()))
    for version in (1, 2):
        credit_version_of(stream.directory / f"credit-{version}", version)
    credit_policy = stream.directory / "credit-1.policy"
    write_policy(credit_policy, signed_policy(parse_policy(CREDIT_POLICY.read_text()), signing_key()))
    judging = {
        "ASSAY_CREDIT_BUNDLE": str(stream.directory / "credit-1"),
        "ASSAY_CREDIT_POLICY": str(credit_policy),
        **environment,
    }
    return {
        "assay-scorer": [stream.scorer(**environment, **tracing, **deciding, ASSAY_POLICY=str(policy))],
        "assay-entities": [
            stream.entities(**entities)
        ],  # beside a scorer whose bundle reads none: nothing waits for it
        "assay-profiler": [stream.service("services.profiler")],
        "assay-cases": [stream.service("services.cases", **webhook)],
        "assay-gateway": [stream.service("services.gateway", **environment, ASSAY_GATEWAY_PORT="0")],
        "assay-monitor": [stream.service("services.monitor", **watching)],
        "assay-console": [stream.service("services.console", **console)],
        "assay-credit": [stream.credit(**judging)],
        "assay-credit-monitor": [stream.service("services.credit_monitor", **lending)],
    }


def made(stream: Stream) -> dict[str, str]:
    """Settings that trust two signed bundles, and a registry for them."""
    directory = stream.directory
    (directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
    for version in (1, 2):
        version_of(directory / f"v{version}", version, other=version == 2)
        signed(directory / f"v{version}")
    return {
        "ASSAY_BUNDLE_PUBLIC_KEYS": str(directory / "key.pub"),
        "ASSAY_REGISTRY_URL": str(directory / "registry"),
    }


def release(
    stream: Stream, bundles: dict[str, str], folder: str, model: str, *how: str, product: str = "fraud"
) -> None:
    """Publish a bundle and put it in a channel, asking no service."""
    for arguments in (("publish", str(stream.directory / folder)), ("promote", model, *how, "--wait", "0")):
        subprocess.run(
            [sys.executable, "-m", "services.cli", "registry", *arguments, "--product", product, "--json"],
            cwd=ROOT,
            env={**os.environ, **addressed(stream), **bundles},
            check=True,
            capture_output=True,
        )


def addressed(stream: Stream) -> dict[str, str]:
    """Where the stream is, for the command line."""
    return {
        "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
        "ASSAY_TOPIC_PREFIX": stream.prefix,
        "ASSAY_GROUP": stream.group,
        "ASSAY_CREDIT_GROUP": f"{stream.prefix}credit",
    }


async def label_loans(stream: Stream) -> None:
    """What becomes of the first applications that the simulator is going to send."""
    labels = [
        CreditLabel(
            application_id=f"application-{APPLICATIONS_SEED}-{number:09d}",
            verdict="default" if number % 3 == 0 else "repaid",
            labelled_at_ms=wall_ms(),
        )
        for number in range(LABELLED)
    ]
    keys = [label.application_id.encode() for label in labels]
    await stream.send([codec.write(label) for label in labels], keys, CREDIT_LABELS.name)


def simulator(stream: Stream, *words: str) -> "subprocess.Popen[bytes]":
    """A command that sends something for as long as the tests take."""
    environment = {**os.environ, **addressed(stream)}
    with (stream.directory / f"{'-'.join(words[:2])}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.cli", *words, "--duration", "600", "--json"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
