"""`assay rules show`: what each rule of a policy hit, which rules hit the same payments, and which never did."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.bundles.policy import Json
from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
    from schemas.policy import Policy

EXAMPLE = "Example: assay rules show --records 100000 --json"
EVERYTHING = 0.5
"""A rule that holds of this share of the payments finds nothing in particular."""

Records = Annotated[int, typer.Option(min=1, help="Scores to look at, of each partition, counted from the newest.")]
Named = Annotated[
    str | None, typer.Option("--policy", help="NAME/VERSION. Default: the policy of the newest score that names one.")
]


def show(records: Records = 100_000, policy: Named = None, json: Json = False) -> None:
    """Count, over the newest scores, what each rule of a policy hit, alone and beside others; and say which never held."""
    import asyncio

    from services.errors import AssayError

    counted = Hits()
    asyncio.run(_read(counted, records, policy))
    if counted.policy is None:
        raise AssayError("No score names a policy: set ASSAY_POLICY or promote one, and let payments come.")
    rows = counted.rows(_content(counted.policy))
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


def _content(name: str) -> "Policy | None":
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.settings.policy import PolicySettings
    from services.trusted_policies import policies_by_name

    signed = policies_by_name(load(PolicySettings), load(BundleSettings))(name)
    return None if signed is None else signed.policy


async def _read(counted: Hits, records: int, wanted: str | None) -> None:
    """The newest scores, the newest partitions' ends first decide which policy is meant. Raises AssayError."""
    from aiokafka import TopicPartition
    from aiokafka.errors import KafkaError

    from schemas import codec
    from schemas.score import Score
    from schemas.topics import SCORES
    from services.errors import AssayError
    from services.kafka.client import reader
    from services.kafka.topics_admin import describe_topics
    from services.settings.kafka import KafkaSettings, TopicSettings
    from services.settings.loading import load
    from services.verification.read import Span, read

    kafka, topics, decode = load(KafkaSettings), load(TopicSettings), codec.decoder(Score)
    consumer, found = reader(kafka), []
    try:
        (state,) = await describe_topics(kafka, topics, [SCORES])
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

    table = Table("rule", "state", "hits", "share", "alone", "most often beside", "")
    for row in rows:
        beside = ", ".join(f"{name} ({hits:,})" for name, hits in row["most_often_beside"].items())
        counts = (f"{row['hits']:,}", f"{row['share']:.3%}", f"{row['alone']:,}")
        table.add_row(*map(shown, (row["rule"], row["state"], *counts, beside, row["finding"] or "")))
    results.print(table)
    results.print(f"{counted.scores:,} scores of {counted.policy}.")
