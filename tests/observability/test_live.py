"""Every question that dashboards and rules ask is asked of a real Prometheus over the running system."""

import json
import re

from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from deploy.grafana.source.build import BOARDS
from deploy.grafana.source.operations import ROUTED
from schemas.topics import SCORES, TRANSACTIONS
from services.kafka.client import plain_producer, reader
from services.settings.processing import RuntimeSettings
from tests.observability.catalogue import alerts, metrics, names, rules
from tests.observability.live import MARK, Live
from tests.services.harness import payment

TRACE = "0af7651916cd43dd8448eb211c80319c"
SERIES_MAX = 600
"""Of one scorer with four partitions."""


def alert(name: str) -> str:
    """The expression of a rule."""
    return next(str(rule["expr"]) for rule in alerts() if rule["alert"] == name)


def test_every_panel_has_data_under_load(live: Live) -> None:
    """Every query of every chart, but those that wait for a fault."""
    asked = [
        (f"{board.title} / {chart.title} / {query.legend}", query.expr)
        for board in BOARDS
        for chart in board.charts
        for query in chart.queries
        if query.quiet is None
    ]
    assert live.missing(asked) == []
    charts = sum(len(board.charts) for board in BOARDS)
    print(
        f"\n{charts} panels on {len(BOARDS)} dashboards: {len(asked)} queries answered with data by the real Prometheus"
    )


def test_what_waits_for_its_occasion_has_data_when_it_comes(live: Live) -> None:
    """Labels, a drift window, a webhook, a challenger, a budget, a storm, entities, the console: all were there."""
    asked = [
        (f"{board.title} / {chart.title} / {query.legend}, when {query.quiet}", query.expr)
        for board in BOARDS
        for chart in board.charts
        for query in chart.queries
        if query.quiet not in (None, ROUTED)  # no intake here: tests/services/intake asks for its counters
    ]
    assert live.missing(asked) == []
    print(f"\n{len(asked)} queries more, after what they wait for has happened")


def test_every_rule_is_evaluated_and_asks_for_metrics_that_are_there(live: Live) -> None:
    """Recording rules give data; an alerting rule gives none until its fault, so its metrics are looked for one by one."""
    recorded = [(rule["record"], rule["record"]) for rule in rules() if "record" in rule]
    waited_for = [(name, f"{{__name__=~'{name}(_bucket)?'}}") for rule in alerts() for name in names(rule["expr"])]
    assert live.missing([*recorded, *waited_for]) == []
    groups = live.prometheus.get("rules")["groups"]
    assert sum(len(group["rules"]) for group in groups) == len(rules())
    live.prometheus.until(lambda: _healthy(live), "a rule could not be evaluated")
    print(f"\n{len(rules())} rules, {len(alerts())} of them alerts, evaluated by the real Prometheus")


def _healthy(live: Live) -> bool:
    states = [rule["health"] for group in live.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert "err" not in states
    return set(states) == {"ok"}


def test_the_slowest_record_of_a_batch_is_an_exemplar(live: Live) -> None:
    """From a latency to the record that had it; sampled batches name their trace too."""

    def exemplars() -> list[dict[str, str]]:
        found = live.prometheus.get(
            "query_exemplars", query="assay_commit_latency_seconds_bucket", start="0", end="9999999999"
        )
        return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]

    live.prometheus.until(lambda: bool(exemplars()), "no exemplar")
    assert all({"partition", "offset"} <= set(labels) for labels in exemplars())


async def test_a_producers_trace_goes_through_the_scorer_to_its_outputs(live: Live) -> None:
    """`traceparent` in, a span with position and stages at the collector, `traceparent` of that span out."""
    stream = live.stream
    producer = plain_producer(stream.kafka, RuntimeSettings())
    await producer.start()
    value = json.dumps(payment(1, transaction_id="traced", event_time_ms=1_700_000_000_000)).encode()
    header = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())
    sent = await producer.send_and_wait(stream.prefix + TRANSACTIONS.name, value, headers=[header], partition=0)
    await producer.stop()
    consumer = reader(stream.kafka)
    await consumer.start()
    source = TopicPartition(stream.prefix + SCORES.name, 0)
    consumer.assign([source])
    await consumer.seek_to_beginning(source)
    carried = None
    while carried is None:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                if dict(record.headers)["assay-source-offset"] == b"%d" % sent.offset:
                    carried = dict(record.headers)["traceparent"].decode()
    await consumer.stop()
    live.prometheus.until(lambda: any(span.trace_id.hex() == TRACE for span in live.collector.spans), "no span")
    (span,) = (span for span in live.collector.spans if span.trace_id.hex() == TRACE)
    assert carried == f"00-{TRACE}-{span.span_id.hex()}-01"
    attributes = {attribute.key: attribute.value for attribute in span.attributes}
    assert attributes["messaging.kafka.offset"].int_value == sent.offset
    assert {"decode", "fold", "model", "emit", "deliver"} <= {span.name for span in live.collector.spans}


def test_labels_are_bounded_whatever_is_paid(live: Live) -> None:
    """A thousand new cards and terminals make no new series."""
    before = series(live)
    new = [
        payment(i, card=f"new-card-{i}", terminal_id=f"new-terminal-{i}", transaction_id=f"new-{i}")
        for i in range(1000)
    ]
    scored = live.scorer.metric("assay_scores_total")
    live.send(json.dumps({**one, "event_time_ms": 1_700_000_000_000}).encode() for one in new)
    live.prometheus.until(lambda: live.scorer.metric("assay_scores_total") >= scored + 1000, "not scored")
    after = series(live)
    grown = {name for name, _ in after - before}
    reasons = {"assay_alert_reasons_total", "assay_alert_reasons_created"}  # bounded by the feature spec
    storms = {"assay_alerts_without_reasons_total", "assay_alerts_without_reasons_created"}  # one a partition
    assert grown <= reasons | storms, grown
    assert len(after) < SERIES_MAX
    for name, labels in after:
        assert not re.search(r"card-\d|terminal-\d|new-|tx-\d", str(labels)), (name, labels)


def series(live: Live) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Name and labels of everything on the scorer's /metrics."""
    families = text_string_to_metric_families(live.scorer.get("/metrics")[1])
    return {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}


def test_bad_payloads_are_seen_in_numbers_only(live: Live) -> None:
    """Many dead letters: the alert's expression holds, and what they held is in no log and no metric."""
    bad = [
        json.dumps({**payment(i), "card_id": f"4111111111111111{MARK}"[: 16 + i % 15], "amount": MARK})
        for i in range(300)
    ]
    live.send(text.encode() for text in bad)
    assert live.missing([("AssayDeadLetterShare", alert("AssayDeadLetterShare"))]) == []
    for processes in live.services.values():
        for process in processes:
            assert MARK not in process.log()
            assert "4111111111111111" not in process.log()
            assert MARK not in process.get("/metrics")[1]


def test_faults_give_the_alerts_their_data(live: Live) -> None:
    """A certificate with five days left, too many alerts, a partition of garbage, a process that is gone."""
    assert live.missing([("AssayCertificateExpires", alert("AssayCertificateExpires"))]) == []
    large = (
        json.dumps(payment(i, transaction_id=f"large-{i}", amount=9_000.0, event_time_ms=1_700_000_100_000 + i))
        for i in range(1500)
    )
    live.send(text.encode() for text in large)
    assert live.missing([("AssayAlertBudgetExceeded", alert("AssayAlertBudgetExceeded"))]) == []
    live.send(b"garbage" for _ in range(8000))
    assert live.missing([("AssayPartitionHeld", alert("AssayPartitionHeld"))]) == []
    live.services.pop("assay-profiler")[0].kill()
    assert live.missing([("AssayDown", alert("AssayDown"))]) == []
    assert set(metrics()) >= {name for rule in alerts() for name in names(rule["expr"])}
