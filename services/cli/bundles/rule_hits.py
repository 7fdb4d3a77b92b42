"""`assay rules show`: what each rule of a policy hit, which rules hit the same payments, and which never did."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.bundles.policy import Json
from services.cli.output import print_json, results, shown
from services.cli.products import OfProduct, Product, policy_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from schemas.monitor import RuleQuality
    from schemas.policy import Policy

EXAMPLE = "Example: assay rules show --records 100000 --json"
EVERYTHING = 0.5
"""A rule that holds of this share of the payments finds nothing in particular."""

Records = Annotated[int, typer.Option(min=1, help="Scores to look at, of each partition, counted from the newest.")]
Named = Annotated[
    str | None, typer.Option("--policy", help="NAME/VERSION. Default: the policy of the newest score that names one.")
]


def show(
    records: Records = 100_000, policy: Named = None, product: OfProduct = Product.FRAUD, json: Json = False
) -> None:
    """Count, over the newest scores, what each rule of a policy hit, alone and beside others; and say which never held."""
    import asyncio

    from services.errors import AssayError

    counted = Hits()
    asyncio.run(_read(counted, records, policy, product))
    if counted.policy is None:
        name = f"{policy_settings(product).model_config.get('env_prefix')}POLICY"
        named = "No score names a policy" if policy is None else f"No score of these names {policy}"
        raise AssayError(f"{named}: set {name} or promote one, and let events come; or look at more --records.")
    rows = counted.rows(_content(counted.policy, product))
    judged = asyncio.run(precision_of_rules(product))
    for row in rows:
        row.update(found_of(judged, counted.policy, row["rule"], row["state"]))
    if json:
        print_json({"policy": counted.policy, "scores": counted.scores, "rules": rows})
        return
    _print(counted, rows)


class Hits:
    """What was counted of one policy."""

    def __init__(self) -> None:
        self.policy: str | None = None
        self.scores = 0
        self.hits: Counter[str] = Counter()
        self.alone: Counter[str] = Counter()
        self.beside: dict[str, Counter[str]] = {}
        self.shadow: set[str] = set()

    def add(self, score: Any) -> None:
        """One score of the policy."""
        self.scores += 1
        held = (*score.rules, *score.shadow_rules)
        self.shadow.update(score.shadow_rules)
        self.hits.update(held)
        if len(held) == 1:
            self.alone.update(held)
        for rule in held:
            self.beside.setdefault(rule, Counter()).update(other for other in held if other != rule)

    def rows(self, policy: "Policy | None") -> list[dict[str, Any]]:
        """A row a rule. policy: its content, for rules that never held; None where it is not to be had."""
        states = {rule.name: rule.state for rule in policy.rules} if policy is not None else {}
        names = list(states) + [name for name in self.hits if name not in states]
        return [
            {
                "rule": name,
                "state": states.get(name, "shadow" if name in self.shadow else "on"),
                "hits": self.hits[name],
                "share": round(self.hits[name] / self.scores, 6) if self.scores else 0.0,
                "alone": self.alone[name],
                "most_often_beside": dict(self.beside.get(name, Counter()).most_common(3)),
                "finding": self._finding(name, states.get(name)),
            }
            for name in names
        ]

    def _finding(self, name: str, state: str | None) -> str | None:
        if state == "off":
            return None
        if not self.hits[name]:
            return "never holds"
        if self.hits[name] >= EVERYTHING * self.scores:
            return "holds of most payments"
        top = self.beside.get(name, Counter()).most_common(1)
        if top and top[0][1] == self.hits[name]:
            return f"never without {top[0][0]}"
        return None


def found_of(judged: "dict[tuple[str, str, str], RuleQuality]", policy: str, rule: str, state: str) -> dict[str, Any]:
    """What labels say of a rule: of this policy's payments, else of those of the newest policy that has the rule."""
    found = judged.get((policy, rule, state))
    if found is None:
        found = next((one for one in judged.values() if one.rule == rule), None)
    if found is None:
        return {"frauds": None, "labelled": 0, "precision": None, "precision_of": None}
    return {
        "frauds": round(found.frauds, 2),
        "labelled": found.labelled,
        "precision": None if found.precision is None else round(found.precision, 4),
        "precision_of": f"{found.policy.partition('@')[0]} ({found.state})",
    }


async def precision_of_rules(product: Product = Product.FRAUD) -> "dict[tuple[str, str, str], RuleQuality]":
    """What the monitor's newest reports say, by policy, rule and state, over all ages; the newest policy first."""
    from schemas import codec
    from schemas.monitor import MonitorReport
    from schemas.topics import CREDIT_MONITOR, MONITOR
    from services.cli.sending import records, usable

    newest: dict[str, list[MonitorReport]] = {}
    async for record in records(CREDIT_MONITOR if product is Product.CREDIT else MONITOR):
        report = usable(record, lambda record: codec.read(MonitorReport, record.value or b""))
        if report is None or report.quality is None:
            continue
        held = newest.setdefault(report.model, [])
        if held and held[0].at_ms != report.at_ms:
            held.clear()  # the ages of one model are reported together
        held.append(report)
    return added(
        one for reports in newest.values() for report in reports if report.quality for one in report.quality.rules
    )


def added(found: "Iterable[RuleQuality]") -> "dict[tuple[str, str, str], RuleQuality]":
    """Sums over ages and models."""
    sums: dict[tuple[str, str, str], RuleQuality] = {}
    for one in found:
        key = one.policy, one.rule, one.state
        before = sums.get(key)
        hits, frauds, labelled = one.hits, one.frauds, one.labelled
        if before is not None:
            hits, frauds, labelled = hits + before.hits, frauds + before.frauds, labelled + before.labelled
        more = {"hits": hits, "frauds": frauds, "labelled": labelled}
        sums[key] = one.model_copy(update={**more, "precision": frauds / hits if hits else None})
    return sums


def _content(name: str, product: Product) -> "Policy | None":
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_policies import policies_by_name

    signed = policies_by_name(load(policy_settings(product)), load(BundleSettings))(name)
    return None if signed is None else signed.policy


async def _read(counted: Hits, records: int, wanted: str | None, product: Product) -> None:
    """The newest scores, the newest partitions' ends first decide which policy is meant. Raises AssayError."""
    from aiokafka import TopicPartition
    from aiokafka.errors import KafkaError

    from schemas import codec
    from schemas.credit import CreditScore
    from schemas.score import Score
    from schemas.topics import CREDIT_SCORES, SCORES
    from services.errors import AssayError
    from services.kafka.client import reader
    from services.kafka.topics_admin import describe_topics
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.verification.read import Span, read

    kafka, topics = load(KafkaSettings), load(TopicSettings)
    topic, schema = (CREDIT_SCORES, CreditScore) if product is Product.CREDIT else (SCORES, Score)
    decode: Callable[[bytes], Score | CreditScore] = codec.decoder(schema)
    consumer, found = reader(kafka), list[tuple[int, Score | CreditScore]]()
    try:
        (state,) = await describe_topics(kafka, topics, [topic])
        await consumer.start()
        sources = [TopicPartition(state.name, number) for number in range(state.partitions)]
        begins, ends = await consumer.beginning_offsets(sources), await consumer.end_offsets(sources)
        spans = {tp: Span(max(begins[tp], ends[tp] - records), ends[tp]) for tp in sources}
        async for _, batch in read(consumer, spans, None):
            for record in batch:
                try:
                    score = decode(record.value or b"")
                except codec.RejectedError:
                    continue
                if score.policy is not None and (wanted is None or score.policy.partition("@")[0] == wanted):
                    found.append((record.timestamp, score))
    except KafkaError as error:
        raise AssayError(
            f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}): check ASSAY_KAFKA_*."
        ) from None
    finally:
        await consumer.stop()
    if found:
        counted.policy = max(found, key=lambda one: one[0])[1].policy
        for _, score in found:
            if score.policy == counted.policy:
                counted.add(score)


def _print(counted: Hits, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("rule", "state", "hits", "share", "alone", "most often beside", "labels", "of them fraud", "")
    for row in rows:
        beside = ", ".join(f"{name} ({hits:,})" for name, hits in row["most_often_beside"].items())
        counts = (f"{row['hits']:,}", f"{row['share']:.3%}", f"{row['alone']:,}")
        said = "" if row["precision"] is None else f"{row['precision']:.1%}, {row['precision_of']}"
        of_labels = f"{row['labelled']:,}", said
        table.add_row(*map(shown, (row["rule"], row["state"], *counts, beside, *of_labels, row["finding"] or "")))
    results.print(table)
    results.print(
        f"{counted.scores:,} scores of {counted.policy}. Labels: of recorded decisions, as the monitor has them."
    )
