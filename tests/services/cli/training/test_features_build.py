"""`assay features build`: a file in, its features out."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.features.entities import EntityFold
from models.features.offline import history_features
from models.features.spec_file import load_spec
from tests.models.training.fraud.shop_kinds import SOURCE, write
from tests.services.cli.test_app import run_main
from tests.services.harness import payment

SPEC = load_spec(Path("deploy/features/fraud.yaml"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A hundred payments, the newest first."""
    frame = pl.DataFrame([payment(i) for i in range(100)]).with_columns(fraud=pl.int_range(pl.len()) % 9 == 0)
    frame.reverse().write_parquet(tmp_path / "payments.parquet")
    return tmp_path / "payments.parquet"


def test_the_rows_keep_the_files_order_and_the_features_are_the_folds(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their labels."""
    target = tmp_path / "features.parquet"
    assert run_main(monkeypatch, "features", "build", "--label=fraud", "--processes=1", str(source), str(target)) == 0
    found, given = pl.read_parquet(target), pl.read_parquet(source)
    assert found.columns == ["transaction_id", "is_fraud", *SPEC.names]
    assert found["transaction_id"].to_list() == given["transaction_id"].to_list()
    assert found["is_fraud"].to_list() == given["fraud"].to_list()
    rows = {name: given[name].to_numpy() for name in given.columns} | {"is_fraud": given["fraud"].to_numpy()}
    expected = history_features(SPEC, rows, np.zeros(len(given), np.int64), 1)
    assert found.select(SPEC.names).to_numpy().astype(np.float32).tobytes() == expected.tobytes()


def test_a_payment_that_the_stream_would_refuse_is_one_sentence_with_its_row(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written."""
    frame = pl.read_parquet(source).with_columns(amount=pl.when(pl.int_range(pl.len()) != 3).then("amount"))
    frame.write_parquet(source)
    target = tmp_path / "features.parquet"
    assert run_main(monkeypatch, "features", "build", str(source), str(target)) == 2
    assert "1 payment(s) without a usable" in (error := capsys.readouterr().err)
    assert "row 3 " in error
    assert not target.exists()


def test_explain_shows_what_each_entity_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its hop, partitions and memory by the settings; for a spec without entities nothing."""
    monkeypatch.setenv("ASSAY_PARTITIONS", "12")
    monkeypatch.setenv("ASSAY_ENTITIES_IDS_MAX", "1000")
    assert run_main(monkeypatch, "features", "explain", "deploy/features/rings.yaml", "--json") == 0
    device, merchant, payee = json.loads(capsys.readouterr().out)["entities"]
    assert [row["hop"] for row in (device, merchant, payee)] == [1, 2, 3]
    assert (device["entity"], device["fields"], device["features"], device["partitions"]) == (
        "device",
        "device_id",
        3,
        12,
    )
    held = EntityFold(load_spec(Path("deploy/features/rings.yaml")), "device", 1000)._state.histories["device"]
    assert device["memory_mb_max"] == math.ceil(12 * (held.rows[1:].nbytes + held._table.nbytes) / 1e6)
    assert run_main(monkeypatch, "features", "explain", "deploy/features/rings.yaml") == 0
    assert "makes 4 hops before it is scored" in " ".join(capsys.readouterr().out.split())
    assert run_main(monkeypatch, "features", "explain", "deploy/features/fraud.yaml", "--json") == 0
    assert "entities" not in json.loads(capsys.readouterr().out)


def test_open_categories_are_learnt_from_the_days_before_and_written_for_a_model_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The spec that is written gives the same features, but the rates of the rows that the model is trained on."""
    payments, spec, target = (tmp_path / name for name in ("payments.jsonl", "spec.yaml", "features.parquet"))
    write(payments, days=12, per_day=60)
    (tmp_path / "source.yaml").write_text(SOURCE)
    spec.write_text(
        "version: 1\nfeatures:\n"
        "  - {name: code, kind: category, attribute: kind, learn: {count_min: 5}}\n"
        "  - {name: rate, kind: category, attribute: kind, learn: {encode: rate, count_min: 5}}\n"
    )
    asked = ("features", "build", "--label=is_fraud", "--processes=1", "--source", str(tmp_path / "source.yaml"))
    files, learn = (str(payments), str(target)), ("--learn", str(tmp_path / "learnt.yaml"))
    assert run_main(monkeypatch, *asked, "--spec", str(spec), *files) == 2
    assert "features build --learn" in capsys.readouterr().err
    assert run_main(monkeypatch, *asked, "--spec", str(spec), *files, *learn) == 2
    assert "--learn-before together" in capsys.readouterr().err
    before = ("--learn-before", "2024-10-12")  # the ninth of twelve days
    assert run_main(monkeypatch, *asked, "--spec", str(spec), *files, *learn, *before) == 0
    first = pl.read_parquet(target)
    assert run_main(monkeypatch, *asked, "--spec", str(tmp_path / "learnt.yaml"), *files) == 0
    again = pl.read_parquet(target)
    assert first["code"].equals(again["code"])
    assert first["rate"][8 * 60 :].equals(again["rate"][8 * 60 :])
    assert (first["rate"][: 8 * 60] != again["rate"][: 8 * 60]).mean() > 0.9
