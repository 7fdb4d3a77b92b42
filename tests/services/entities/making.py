"""A bundle whose features read entities, and payments in rounds: in one round no entity and no card comes twice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.load import load_bundle
from models.features.offline import columns_read, history_features
from models.features.spec_file import parse_spec
from schemas.feature_spec import FeatureSpec
from tests.models.bundle.making import COMMITTED, version_of
from tests.services.harness import BASE_TIME_MS

ENTITIES = """
  - {name: merchant_cards_1h, kind: window, key: merchant, aggregation: distinct, of: card_id, window: 1h}
  - {name: merchant_count_24h, kind: window, key: merchant, aggregation: count, window: 24h}
  - {name: merchant_amount_ratio_1h, kind: window, key: merchant, aggregation: ratio, window: 1h}
  - {name: corridor_first, kind: since, key: corridor, event: first}
  - {name: corridor_last, kind: since, key: corridor, event: last, at_most: 1h}
  - {name: corridor_spread_24h, kind: window, key: corridor, aggregation: std, window: 24h}
"""
"""In place of the terminals' profiles."""

DECLARED = """
entities:
  merchant: {id: terminal_id}
  corridor: {id: [terminal_id, country]}
"""
ROUNDS, TERMINALS = 6, 20


def spec_of_entities(features: str = ENTITIES) -> FeatureSpec:
    """The committed features, with entities."""
    text = Path("deploy/features/fraud.yaml").read_text()
    kept = text.split("  - {name: terminal_count_1d")[0].replace(
        "keys: {card: card_id}", "keys: {card: card_id}" + DECLARED
    )
    return parse_spec(kept + features.lstrip("\n"))


def bundle_of_entities(path: Path, spec: FeatureSpec | None = None, version: int = 1) -> Path:
    """The committed graph, as if it had been trained on them; unsigned."""
    manifest = load_bundle(COMMITTED).manifest
    changed = manifest.model_copy(update={"feature_spec": spec or spec_of_entities(), "statement": None})
    version_of(path, version, manifest=changed)
    return path


def environment_of(bundle: Path) -> dict[str, str]:
    """Settings of the services, and of commands."""
    return {
        "ASSAY_BUNDLE": str(bundle),
        "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true",
        "ASSAY_BUNDLE_PUBLIC_KEYS": "",
        "ASSAY_DECISION_SHARE": "1.0",
    }


def round_of(number: int, count: int = TERMINALS) -> list[dict[str, Any]]:
    """Payments of one round in order of time: each of `count` terminals once, each card at most once; some lack the country."""
    random = np.random.default_rng(number)
    terminals, cards = random.permutation(count), random.permutation(2 * count)[:count]
    payments = []
    for place, (terminal, card) in enumerate(zip(terminals.tolist(), cards.tolist(), strict=True)):
        payment = {
            "transaction_id": f"tx-{number:03d}-{place:03d}",
            "event_time_ms": BASE_TIME_MS + (number * count + place) * 7_000,
            "card_id": f"card-{card:04d}",
            "terminal_id": f"terminal-{terminal:03d}",
            "amount": float(random.integers(1, 500)),
            "country": ["FR", "DE", None][terminal % 3],
        }
        payments.append({name: value for name, value in payment.items() if value is not None})
    return payments


def values_of(payments: list[dict[str, Any]]) -> tuple[list[bytes], list[bytes]]:
    """What is sent: values and keys."""
    return [json.dumps(payment).encode() for payment in payments], [p["card_id"].encode() for p in payments]


def file_features(spec: FeatureSpec, payments: list[dict[str, Any]]) -> NDArray[np.float32]:
    """What `assay features build` computes of the same payments, without Kafka."""
    names = columns_read(spec)
    rows = {name: np.array([payment.get(name) for payment in payments], object) for name in names}
    rows["event_time_ms"] = rows["event_time_ms"].astype(np.int64)
    return history_features(spec, rows, np.zeros(len(payments), np.int64), 1)
