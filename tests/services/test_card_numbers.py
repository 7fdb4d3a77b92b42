"""No card number anywhere: what the services write, log, keep and show after inputs that are full of them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.simulation.applications import drawn
from schemas import codec
from schemas.dead_letter import DeadLetter
from schemas.privacy import card_numbers_in
from schemas.topics import APPLICATIONS, LABELS, TOPICS, TRANSACTIONS
from services.simulator.applications import application_payloads
from tests.services.cases.test_stream import until
from tests.services.harness import BASE_TIME_MS, ROOT, Scorer, Stream, payment

VISA, MASTERCARD, AMEX = "4111111111111111", "5555555555554444", "378282246310005"
PLANTED = (VISA, MASTERCARD, AMEX, "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "4222222222222")
RECORDS = 1500
CASES = 3
"""Place among the services."""

Text = tuple[str, bytes]
"""Where it lies, and what lies there."""


def leaks(texts: Iterable[Text]) -> list[str]:
    """Where a card number stands: one of those planted, in any surrounding, or any other that stands alone."""
    found = []
    for where, content in texts:
        held = [number for number in PLANTED if number.encode() in content or number.encode("utf-32-le") in content]
        held += card_numbers_in(content.decode("latin-1"))
        if held:
            found.append(f"{where}: {held[0]}")
    return found


def poisoned(i: int) -> list[bytes]:
    """Payments that hold card numbers in every place that we could think of, beside the two ids that outputs repeat."""
    good = payment(i, amount=4000.0)
    changed: list[dict[str, Any]] = [
        {"card_id": VISA},
        {"card_id": "4111 1111 1111 1111"},
        {"card_id": "4111-1111-1111-1111"},
        {"card_id": AMEX, "amount": -1},
        {"card_id": VISA + "=2512101" + "0" * 60},
        {"transaction_id": VISA * 5},
        {"terminal_id": {"pan": VISA}},
        {"terminal_id": None, "pan": MASTERCARD},
        {"currency": VISA},
        {"mcc": VISA},
        {"country": MASTERCARD},
        {"channel": {"track2": f"{VISA}=2512"}},
        {"amount": int(VISA)},
        {"amount": VISA},
        {"event_time_ms": int(VISA)},
        {"event_time_ms": 4222222222222},
        {"event_time_ms": AMEX},
    ]
    harmless: list[dict[str, Any]] = [
        {"pan": VISA},
        {"card": {"number": "4111 1111 1111 1111", "track2": [f"{VISA}=2512", None]}},
        {"channel": VISA},
        {VISA: 1},
    ]
    broken = [
        f'{{"transaction_id": "tx", "card_id": "{VISA}"'.encode(),
        f"{VISA},12.50".encode(),
        VISA.encode(),
        f'{{"pan": "{MASTERCARD}", "x": '.encode() + b"[" * 300,
        f'{{"pan": "{VISA}", "x": NaN}}'.encode(),
        b'{"pan": "' + VISA.encode() + b'\xff"}',
        b'{"pan": "' + VISA.encode() * 5000 + b'"}',
    ]
    numbered = [{**good, "transaction_id": f"tx-p-{i}-{place}"} for place in range(len(harmless))]
    return [
        *(
            json.dumps({**good, "transaction_id": f"tx-b-{i}-{place}", **each}).encode()
            for place, each in enumerate(changed)
        ),
        *(json.dumps({**each, **extra}).encode() for each, extra in zip(numbered, harmless, strict=True)),
        *broken,
    ]


def labels() -> list[bytes]:
    """Verdicts with card numbers where they do not belong, behind a good one."""
    good = {"transaction_id": "tx-000000001", "verdict": "fraud", "source": "customer", "labelled_at_ms": BASE_TIME_MS}
    spoiled: list[dict[str, Any]] = [
        {"transaction_id": "tx-000000002", "event_time_ms": BASE_TIME_MS, "terminal_id": "terminal-002"},
        {"card_id": VISA, "event_time_ms": BASE_TIME_MS, "terminal_id": "terminal-001"},
        {"verdict": VISA},
        {"source": MASTERCARD},
        {"labelled_at_ms": int(VISA)},
        {"note": f"customer says that {VISA} was stolen"},
    ]
    return [json.dumps(good | each).encode() for each in spoiled] + [f'{{"card_id": "{VISA}'.encode()]


def applications() -> list[bytes]:
    """Applications for credit, likewise."""
    (good, *_) = application_payloads([drawn(1, seed=5, start_ms=BASE_TIME_MS)])
    whole: dict[str, Any] = json.loads(good.value)
    name = next(name for name, value in whole["attributes"].items() if isinstance(value, (str, int, float)))
    spoiled: list[dict[str, Any]] = [
        {},
        {"applicant_id": VISA},
        {"application_id": "a-1", "pan": VISA},
        {"application_id": "a-2", "attributes": whole["attributes"] | {name: VISA}},
        {"application_id": "a-3", "attributes": whole["attributes"] | {"card": VISA}},
        {"application_id": "a-4", "attributes": {VISA: VISA}},
    ]
    return [json.dumps(whole | each).encode() for each in spoiled] + [f'{{"applicant_id": "{VISA}'.encode()]


async def written(stream: Stream) -> list[Text]:
    """Every record that the services wrote."""
    inputs = {TRANSACTIONS.name, LABELS.name, APPLICATIONS.name}
    texts: list[Text] = []
    for topic in TOPICS:
        if topic.name in inputs:
            continue
        for record in await stream.read(topic.name):
            where = f"{topic.name}-{record.partition}@{record.offset}"
            texts += [(where, record.key or b""), (where, record.value or b"")]
            texts += [(f"{where} header {name}", value) for name, value in record.headers]
    return texts


def files(directory: Path) -> Iterator[Text]:
    """Logs, snapshots, whatever lies below."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(directory)), path.read_bytes()


def started(stream: Stream, **environment: str) -> list[Scorer]:
    """One process of each service that is on the main path, as talkative as they get."""
    environment = {"ASSAY_LOG_LEVEL": "DEBUG", "ASSAY_DEAD_LETTER_SHARE_MAX": "1", **environment}
    services = [
        stream.scorer(**environment, ASSAY_DECISION_SHARE="1"),
        stream.profiler(**environment),
        stream.credit(**environment),
        stream.service("services.cases", **environment),
        stream.service("services.monitor", **environment),
    ]
    for service in services:
        service.wait_ready()
    return services


async def test_no_card_number_comes_out_of_the_main_path(stream: Stream) -> None:
    """Topics, keys, headers, logs at DEBUG, snapshots, /metrics: after poison between good payments."""
    values = [json.dumps(payment(i, amount=4000.0 if i % 50 == 0 else 25.0)).encode() for i in range(RECORDS)]
    for i in range(4):
        values[i * 300 : i * 300] = poisoned(i * 300)
    services = started(stream)
    # the input's own key is the producer's to choose, and may be a card number
    await stream.send(values, [VISA.encode() if i % 3 else b"k" for i in range(len(values))])
    await stream.send(labels(), name=LABELS.name)
    await stream.send(applications(), name=APPLICATIONS.name)
    await stream.caught_up(services)
    await stream.caught_up(services, f"{stream.prefix}profiler", LABELS.name)
    await stream.caught_up(services, f"{stream.prefix}credit", APPLICATIONS.name)
    desk = services[CASES]
    alerts = len(await stream.read("alerts"))
    assert alerts
    await until(desk, lambda: desk.metric("assay_case_changes_total") >= alerts)
    pages = [(f"metrics of {number}", service.get("/metrics")[1].encode()) for number, service in enumerate(services)]
    assert [service.terminate() for service in services] == [0] * len(services)

    texts = [*await written(stream), *files(stream.directory), *pages]
    assert leaks(texts) == []

    letters = [codec.read(DeadLetter, r.value) for r in await stream.read("dead-letters")]
    reasons = Counter(letter.reason.value for letter in letters if letter.source_topic.endswith(TRANSACTIONS.name))
    assert reasons == {"card_number": 12, "schema": 64, "undecodable": 12, "too_deep": 4, "too_large": 4}
    lie = Counter(where.partition("-")[0].partition("@")[0] for where, _ in texts)
    for looked_at in ("scores", "alerts", "decisions", "dead", "scoring", "credit", "cases", "terminal", "snapshots/"):
        assert any(where.startswith(looked_at) for where in lie), (looked_at, lie)


@pytest.mark.slow
async def test_ids_that_outputs_repeat_are_scanned_where_that_is_set(stream: Stream) -> None:
    """A producer that puts the card number where the payment's id should be: nothing of it goes on."""
    scorer = stream.scorer(ASSAY_CARD_NUMBERS_REFUSED_IN="ids", ASSAY_LOG_LEVEL="DEBUG", ASSAY_DECISION_SHARE="1")
    values = [json.dumps(payment(i)).encode() for i in range(200)]
    values[50:50] = [
        json.dumps(payment(900, **{field: text})).encode()
        for field in ("transaction_id", "terminal_id")
        for text in (VISA, f"auth {AMEX}", "4111 1111 1111 1111")
    ]
    await stream.send(values)
    await stream.caught_up([scorer])
    page = ("metrics", scorer.get("/metrics")[1].encode())
    assert scorer.terminate() == 0
    assert leaks([*await written(stream), *files(stream.directory), page]) == []
    letters = [codec.read(DeadLetter, r.value) for r in await stream.read("dead-letters")]
    assert [letter.reason.value for letter in letters] == ["card_number"] * 6
    assert len(await stream.read("scores")) == 200


async def test_the_scan_would_find_what_it_looks_for(stream: Stream) -> None:
    """The same reader, the same scanner, over a topic and a file that do hold card numbers."""
    await stream.send([f'{{"note": "paid with {VISA}"}}'.encode()], name="scores")
    await stream.send([b"{}"], [AMEX.encode()], name="alerts")
    (stream.directory / "some.log").write_text(f"line\nrefused card{MASTERCARD}x\n")
    (stream.directory / "snapshot").write_bytes(VISA.encode("utf-32-le"))
    found = leaks([*await written(stream), *files(stream.directory)])
    assert [place.split("-")[0].split(":")[0] for place in found] == ["scores", "alerts", "snapshot", "some.log"]


@pytest.mark.parametrize("name", ["fraud", "credit"])
def test_no_card_number_is_in_a_bundle_or_its_report(name: str) -> None:
    """What is shipped: manifest, reference, golden rows, report."""
    texts = [*files(ROOT / "deploy" / "bundles" / name)]
    assert {"report.html", "manifest.json", "reference.json"} <= {where for where, _ in texts}
    assert leaks(texts) == []
