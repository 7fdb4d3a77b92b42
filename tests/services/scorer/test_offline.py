"""Offline scoring beside the stream: the same code, so the same bits."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from typer.testing import CliRunner

from schemas import codec
from schemas.score import Score
from services.cli.app import app
from tests.services.harness import Stream, payment


def batch(*arguments: str) -> dict[str, object]:
    """What `assay batch --json` prints."""
    done = CliRunner().invoke(app, ["batch", "--json", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)  # type: ignore[no-any-return]


async def test_a_file_gets_the_bits_that_the_stream_got(stream: Stream, tmp_path: Path) -> None:
    """4,000 payments, also a repeated and a negative one, through the real scorer and through `assay batch`."""
    payments = [payment(i, amount=900.0 if i % 100 == 99 else 25.0) for i in range(4000)]
    payments.insert(2000, {**payments[1999]})
    payments.insert(3000, payment(9999, amount=-100.0) | {"event_time_ms": payments[2999]["event_time_ms"]})
    scorer = stream.scorer()
    await stream.send([json.dumps(p).encode() for p in payments], [p["card_id"].encode() for p in payments])
    await stream.caught_up([scorer])
    assert scorer.terminate() == 0
    online = {s.transaction_id: s for s in (codec.read(Score, r.value) for r in await stream.read("scores"))}
    pl.DataFrame(payments).write_parquet(tmp_path / "in.parquet")
    counts = batch(str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"))
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert [reason["rows"] for reason in counts.pop("reasons")] == [1, 1]  # type: ignore[attr-defined]
    assert "ASSAY_BUNDLE" in str(counts.pop("why"))
    assert counts == {"rows": 4002, "scored": 4000, "rejected": 2, "alerts": out["alert"].sum(), "model": "fraud/1@cpu"}
    assert out["transaction_id"].to_list() == [p["transaction_id"] for p in payments]
    assert out.filter(pl.col("rejected").is_not_null())["rejected"].to_list() == ["duplicate", "schema"]
    offline = out.filter(pl.col("rejected").is_null())
    for name in ("probability", "reconstruction_error", "anomaly_percentile"):
        expected = np.array([getattr(online[i], name) for i in offline["transaction_id"]], np.float32)
        assert offline[name].to_numpy().tobytes() == expected.tobytes()
    assert offline["alert"].to_list() == [online[i].alert for i in offline["transaction_id"]]
