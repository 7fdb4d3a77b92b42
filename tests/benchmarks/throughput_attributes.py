"""A source of many attributes read directly, beside today's payments: `assay bench throughput --attributes 30`.

Both topics hold the same simulated payments; the other one's records have the attributes too, and the model reads each. Its
bundle is trained here, for one epoch: what a row costs does not depend on how well it is fitted. It scores the mean of squared
errors: by rarity, after one epoch, every twentieth payment of a town that is not the fit's is an alert, and alerts cost.
"""

import asyncio
import statistics
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer

from models.features.spec_file import parse_spec
from models.simulation.settings import SimulationSettings
from models.simulation.stream import TransactionDay, generate
from models.sources.spec_file import parse_source, topic_of
from models.training.data import Cuts
from models.training.fit_vae import VaeSettings
from models.training.fraud.history import History, LabelledDay, fold_history
from models.training.fraud.train import FraudSettings, train_fraud, with_epochs
from schemas.feature_spec import FeatureSpec
from schemas.source_spec import SourceSpec
from services.kafka.topics_admin import create_topics
from tests.services.harness import ROOT, Stream

NAME = "bench-attributes"
WORDS = "abcd"
TAUGHT = SimulationSettings(seed=11, customers=400, terminals=400, days=40)
CUTS = Cuts(validation_days=8, delay_days=4, test_days=8)

Drawn = dict[str, list[Any]]


def kinds(attributes: int) -> dict[str, str]:
    """Name and type of each: half numbers, a quarter categories, a quarter flags."""
    cycle = ("number", "category", "number", "flag")
    return {f"a{place}": cycle[place % len(cycle)] for place in range(attributes)}


def source(stream: Stream, attributes: int) -> SourceSpec:
    """Assay's own, on a topic of its own, with the attributes."""
    own = (ROOT / "models" / "sources" / "transactions.yaml").read_text(encoding="utf-8")
    lines = own.replace("topic: transactions", f"topic: {stream.prefix}{NAME}").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("  currency:"))  # the payments name none
    lines = [f"  {name}: {{type: {kind}, path: {name}}}" for name, kind in kinds(attributes).items()]
    return parse_source("\n".join([text.rstrip(), "attributes:", *lines, ""]))


def spec(attributes: int) -> FeatureSpec:
    """The default features, and one of each attribute."""
    text = (ROOT / "deploy" / "features" / "fraud.yaml").read_text(encoding="utf-8").rstrip()
    further = {
        "number": "missing: 0",
        "flag": "missing: 0",
        "category": "values: {a: {number: 1}, b: {number: 2}}, other: {number: 3}, missing: 0",
    }
    lines = [
        f"  - {{name: {name}, kind: {kind}, attribute: {name}, {further[kind]}}}"
        for name, kind in kinds(attributes).items()
    ]
    return parse_spec("\n".join([text, *lines, ""]))


def draw(attributes: int, count: int, random: np.random.Generator) -> Drawn:
    """Values of each attribute."""
    make = {
        "number": lambda: random.gamma(2, 20, count).round(2).tolist(),
        "category": lambda: [WORDS[place] for place in random.integers(0, 4, count).tolist()],
        "flag": lambda: random.integers(0, 2, count).astype(bool).tolist(),
    }
    return {name: make[kind]() for name, kind in kinds(attributes).items()}


def bundle(stream: Stream, attributes: int) -> Path:
    """Trained on payments that are not the topic's; unsigned."""
    features, random = spec(attributes), np.random.default_rng(3)
    days = TAUGHT.days or 0
    history = (_taught(place, day, attributes, random) for place, day in enumerate(generate(TAUGHT)))
    data = fold_history(history, TAUGHT.start_day, days, features, TAUGHT.customers)
    settings = FraudSettings(
        spec=features,
        source=source(stream, attributes),
        cuts=CUTS,
        compared=False,
        gan=None,
        vae=VaeSettings(),
        seed=1,
        accepted=("logistic",),
    )
    out = stream.directory / "attributes-bundle"
    train_fraud(with_epochs(settings, 1), out, history=History(data, TAUGHT.start_day, days, "Made for a benchmark."))
    return out


def _taught(place: int, day: TransactionDay, attributes: int, random: np.random.Generator) -> LabelledDay:
    drawn, found = draw(attributes, len(day.columns), random), kinds(attributes)
    columns = replace(
        day.columns,
        ids={**day.columns.ids, **{name: drawn[name] for name, kind in found.items() if kind == "category"}},
        numbers={name: np.array(drawn[name], float) for name, kind in found.items() if kind != "category"},
    )
    return LabelledDay(TAUGHT.start_day + place, columns, day.is_fraud, day.scenario)


async def fill(stream: Stream, records: int, attributes: int) -> None:
    """The payments of `throughput.fill`, with attributes, lz4, keyed by card."""
    topic = topic_of(source(stream, attributes))
    await create_topics(stream.kafka, stream.topics, [topic])
    producer = AIOKafkaProducer(
        bootstrap_servers=stream.bootstrap, compression_type="lz4", linger_ms=20, max_batch_size=1 << 20
    )
    await producer.start()
    encode = msgspec.json.Encoder().encode
    for row in islice(_rows(attributes), records):
        await producer.send(f"{stream.prefix}{NAME}", encode(row), key=row["card_id"].encode())
    await producer.stop()


def _rows(attributes: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(5)
    for day in generate(SimulationSettings(seed=7, customers=20_000, terminals=5_000, days=None)):
        own = {
            "transaction_id": day.transaction_id,
            "event_time_ms": day.event_time_ms.tolist(),
            "card_id": day.card_id,
            "terminal_id": day.terminal_id,
            "amount": day.amount.tolist(),
        }
        columns = own | draw(attributes, len(day.transaction_id), random)
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))


def environment(stream: Stream, attributes: int) -> dict[str, str]:
    """A scorer's, whose bundle reads the attributes."""
    return {
        "ASSAY_BUNDLE": str(bundle(stream, attributes)),
        "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true",
        "ASSAY_BUNDLE_PUBLIC_KEYS": "",
    }


def ready(stream: Stream, records: int, attributes: int) -> dict[str, str]:
    """Topic and bundle."""
    asyncio.run(fill(stream, records, attributes))
    return environment(stream, attributes)


def summary(figures: dict[str, list[float]], records: int, attributes: int) -> dict[str, Any]:
    """Medians, the ratio of medians, and every round."""
    plain, wide = (statistics.median(figures[name]) for name in ("assay", "attributes"))
    return {
        "assay_records_per_s": round(plain),
        "attributes_records_per_s": round(wide),
        "attributes_to_assay": round(wide / plain, 3),
        "attributes": attributes,
        "rounds": {name: [round(value) for value in values] for name, values in figures.items()},
        "records": records,
        "record_as": "throughput-attributes",
    }
