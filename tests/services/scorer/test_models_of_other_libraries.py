"""A bundle of somebody's trees on a real stream: scored, with reasons, verified, and the same bits as in a file."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.foreign.build import BuildSettings, build_bundle
from models.training.thresholds import AlertBudget
from schemas import codec
from schemas.alert import Alert
from schemas.score import Score
from tests.models.bundle.making import signed
from tests.models.foreign.making import model, spec, write_reference
from tests.services.cli.test_app import run_main
from tests.services.harness import Stream, payment


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A signed bundle of a LightGBM model, and whom to believe."""
    place = tmp_path_factory.mktemp("foreign")
    (place / "model.onnx").write_bytes(model("lightgbm").onnx)
    rows = write_reference(place / "rows.parquet")
    build_bundle(place / "model.onnx", rows, place / "bundle", BuildSettings(spec(), AlertBudget(0.05), version=7))
    key = ec.generate_private_key(ec.SECP256R1())
    signed(place / "bundle", key)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (place / "release.pub").write_bytes(pem)
    return {"ASSAY_BUNDLE": str(place / "bundle"), "ASSAY_BUNDLE_PUBLIC_KEYS": str(place / "release.pub")}


async def test_a_stream_is_scored_by_trees_bit_for_bit_as_a_file_is(
    stream: Stream, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 payments through a real scorer; alerts are the classifier's, with reasons of its score."""
    stream.environment |= environment
    payments = [payment(i, amount=900.0 if i % 50 == 49 else 25.0) for i in range(1000)]
    scorer = stream.scorer()
    await stream.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    online = {s.transaction_id: s for s in (codec.read(Score, r.value) for r in await stream.read("scores"))}
    assert {score.model for score in online.values()} == {"fraud/7@cpu"}
    alerts = [codec.read(Alert, record.value) for record in await stream.read("alerts")]
    assert alerts
    assert {reason.score for alert in alerts for reason in alert.reasons} == {"probability"}
    pl.DataFrame(payments).write_parquet(tmp_path / "in.parquet")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run_main(monkeypatch, "batch", str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")) == 0
    offline = pl.read_parquet(tmp_path / "out.parquet")
    for name in ("probability", "reconstruction_error", "anomaly_percentile"):
        expected = np.array([getattr(online[i], name) for i in offline["transaction_id"]], np.float32)
        assert offline[name].to_numpy().tobytes() == expected.tobytes()
    assert offline["alert"].to_list() == [online[i].alert for i in offline["transaction_id"]]
