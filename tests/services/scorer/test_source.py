"""A topic of the user's own shape, read by the source spec in the bundle: scored, verified, replayed, and scored as a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.bundle.load import load_bundle, read_files
from models.bundle.pack import with_manifest, write_files
from models.features.layout import id_fields
from models.features.spec_file import load_spec
from models.files.events import read_events
from models.sources.spec_file import parse_source, topic_of
from schemas import codec
from schemas.alert import Alert
from schemas.derived import Currencies
from schemas.score import Score
from schemas.source_spec import SourceSpec
from services.kafka.topics_admin import create_topics
from services.verification.pipeline import PAYMENTS
from services.verification.verify import verify
from tests.services.cli.test_app import run_main
from tests.services.harness import BASE_TIME_MS, BUNDLES, Stream

SOURCE = """
version: 1
topic: payments.authorised.v2
select: [{path: type, in: [AUTH, REFUND]}]
event:
  id: {path: header.id}
  time: {path: header.at, unit: s}
  subject: {path: card.token}
  counterparty: {path: merchant.id, required: false}
  amount: {path: amount.value, scale: 2, at_least: -1e9, negative_where: {path: type, equals: REFUND}}
  currency: {path: amount.currency}
attributes:
  device: {path: device.id, type: id, show: true}
"""


def event(i: int) -> dict[str, Any]:
    """The i-th record: every ninth is a refund, every seventh of another kind, every fiftieth no event."""
    kind = "REFUND" if i % 9 == 0 else "AUTH"
    return {
        "type": "BALANCE" if i % 7 == 0 else kind,
        "header": {"id": f"e-{i}", "at": "never" if i % 50 == 3 else BASE_TIME_MS // 1000 + 60 * i},
        "card": {"token": f"card-{i % 40}"},
        "merchant": None if i % 11 == 0 else {"id": f"m-{i % 5}"},
        "amount": {"value": str(100 + 900_000 * (i % 13 == 0) + i % 700), "currency": "EUR"},
        "device": {"id": i % 3},
    }


def bundle_of(source: SourceSpec, directory: Path) -> Path:
    """The demo's bundle, for another source; unsigned."""
    demo = Path(BUNDLES["ASSAY_BUNDLE"])
    manifest = load_bundle(demo).manifest
    spec = manifest.feature_spec.model_copy(update={"currencies": Currencies(only="EUR")})
    manifest = manifest.model_copy(update={"source": source, "feature_spec": spec, "statement": None})
    write_files(directory, with_manifest(read_files(demo), manifest))
    return directory


@pytest.mark.slow
async def test_a_topic_of_another_shape_is_scored_verified_and_replayed(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Refunds are events, other records are passed over; a file of the same events gets the same bits."""
    name = "payments.authorised.v2"
    source = parse_source(SOURCE.replace(name, stream.prefix + name))
    bundle = bundle_of(source, tmp_path / "bundle")
    await create_topics(stream.kafka, stream.topics, [topic_of(source)])
    environment = {"ASSAY_BUNDLE": str(bundle), "ASSAY_ALLOW_UNSIGNED_BUNDLES": "true", "ASSAY_BUNDLE_PUBLIC_KEYS": ""}
    events = [event(i) for i in range(1200)]
    doomed = stream.scorer(**environment, ASSAY_FAILPOINT="after_sends:4", ASSAY_BATCH_RECORDS_MAX="50")
    values = [json.dumps(record).encode() for record in events]
    await stream.send(values, [record["card"]["token"].encode() for record in events], name)
    assert doomed.wait() != 0
    scorer = stream.scorer(**environment)
    await stream.caught_up([scorer], name=name)
    assert scorer.terminate() == 0
    selected = [record for record in events if record["type"] != "BALANCE"]
    faults = [record for record in selected if record["header"]["at"] == "never"]
    verdict = await verify(stream.kafka, stream.topics, stream.group, PAYMENTS.reading(source))
    assert verdict.clean, verdict
    assert (verdict.inputs, verdict.scores) == (len(selected), len(selected) - len(faults))
    assert verdict.dead_letters == len(faults)
    scores = {s.transaction_id: s for s in (codec.read(Score, r.value) for r in await stream.read("scores"))}
    alerts = [codec.read(Alert, r.value) for r in await stream.read("alerts")]
    assert {a.terminal_id for a in alerts} >= {"-"}
    assert {tuple((one.words, one.text) for one in a.attributes) for a in alerts} <= {
        (("device", str(i)),) for i in range(3)
    }
    for name, value in {
        **environment,
        "ASSAY_KAFKA_BOOTSTRAP": stream.bootstrap,
        "ASSAY_TOPIC_PREFIX": stream.prefix,
    }.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(run_main, monkeypatch, "replay", "--json", "--group", stream.group) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == len(scores)

    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(values))
    assert (
        await asyncio.to_thread(run_main, monkeypatch, "batch", str(path), str(tmp_path / "scores.parquet"), "--json")
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["scored"]) == (len(selected), len(scores))
    frame = pl.read_parquet(tmp_path / "scores.parquet").drop_nulls("probability")
    same = [
        scores[name].probability == np.float32(probability)
        for name, probability in frame.select("transaction_id", "probability").iter_rows()
    ]
    # the terminals' profiles come from topics in the stream, and from the file in a file: those without one are the same
    alone = {record["header"]["id"] for record in selected if record["merchant"] is None}
    assert all(equal for equal, name in zip(same, frame["transaction_id"], strict=True) if name in alone)


def test_features_of_a_file_are_built_by_a_source_spec(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of --map; both together, and a row that the spec refuses, are sentences."""
    path, spec = tmp_path / "events.jsonl", tmp_path / "source.yaml"
    spec.write_text(SOURCE)
    path.write_text("\n".join(json.dumps(event(i)) for i in range(60) if i % 50 != 3))
    features = tmp_path / "features.yaml"
    spec_text = Path("deploy/features/fraud.yaml").read_text().split("  - {name: terminal_count_1d")[0]
    features.write_text("currencies: {only: EUR}\n" + spec_text)
    out = tmp_path / "features.parquet"
    options = (
        "features",
        "build",
        str(path),
        str(out),
        "--spec",
        str(features),
        "--source",
        str(spec),
        "--processes",
        "1",
    )
    assert run_main(monkeypatch, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == len(read_events(path, parse_source(SOURCE)))
    assert len(pl.read_parquet(out).columns) == 1 + len(load_spec(features).names)
    assert id_fields(load_spec(features)) == {"card_id"}
    assert run_main(monkeypatch, *options, "--map", "card_id=x") == 2
    assert "--source and --map both say where the fields lie" in capsys.readouterr().err
    path.write_text("\n".join(json.dumps(event(i)) for i in range(60)))
    assert run_main(monkeypatch, *options) == 2
    assert "the first in line 4: Expected" in " ".join(capsys.readouterr().err.split())
