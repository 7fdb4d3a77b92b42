"""`assay batch`: names, formats, mistakes. Its scores are compared with the stream's in scorer/test_offline.py."""

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.services.cli.test_app import run_main
from tests.services.harness import payment

OTHER_NAMES = {
    "transaction_id": "TRANSACTION_ID",
    "event_time_ms": "TX_DATETIME",
    "card_id": "CUSTOMER_ID",
    "terminal_id": "TERMINAL_ID",
    "amount": "TX_AMOUNT",
}
MAPPED = [f"--map={name}={column}" for name, column in OTHER_NAMES.items()]


@pytest.fixture
def payments() -> pl.DataFrame:
    """A hundred good payments."""
    return pl.DataFrame([payment(i, card=str(i % 7)) for i in range(100)])


def score(monkeypatch: pytest.MonkeyPatch, source: Path, *options: str) -> pl.DataFrame:
    """The scores of a file that can be scored."""
    target = source.with_name(f"{source.stem}-scores{source.suffix}")
    assert run_main(monkeypatch, "batch", str(source), str(target), *options) == 0
    return pl.read_csv(target) if target.suffix == ".csv" else pl.read_parquet(target)


def test_names_types_order_and_format_of_the_file_make_no_difference(
    payments: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dates for milliseconds, numbers for ids, a shuffled file, CSV: the same scores."""
    payments.write_parquet(tmp_path / "plain.parquet")
    plain = score(monkeypatch, tmp_path / "plain.parquet")
    times = [datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None) for ms in payments["event_time_ms"]]
    foreign = payments.with_columns(event_time_ms=pl.Series(times), card_id=pl.col("card_id").cast(pl.Int64))
    foreign = foreign.rename(OTHER_NAMES).sample(fraction=1.0, shuffle=True, seed=1)
    foreign.write_csv(tmp_path / "foreign.csv")
    shuffled = score(monkeypatch, tmp_path / "foreign.csv", *MAPPED, "--time-zone", "UTC")
    assert shuffled["transaction_id"].to_list() == foreign["TRANSACTION_ID"].to_list()
    assert plain["probability"].is_not_nan().all()
    shared = ["transaction_id", "probability", "reconstruction_error", "anomaly_percentile", "alert"]
    assert_frame_equal(plain.select(shared), shuffled.select(shared).sort("transaction_id"), check_dtypes=False)


def test_a_payment_that_cannot_be_scored_keeps_its_row_and_its_neighbours(
    payments: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time, no amount, a card number."""
    bad = pl.DataFrame([payment(1000), payment(1001), payment(1002, card="4111111111111111")])
    row = pl.int_range(pl.len())
    bad = bad.with_columns(
        event_time_ms=pl.when(row != 0).then("event_time_ms"), amount=pl.when(row != 1).then("amount")
    )
    payments.write_parquet(tmp_path / "good.parquet")
    pl.concat([payments[:50], bad, payments[50:]]).write_parquet(tmp_path / "mixed.parquet")
    good, mixed = score(monkeypatch, tmp_path / "good.parquet"), score(monkeypatch, tmp_path / "mixed.parquet")
    assert mixed["rejected"][50:53].to_list() == ["schema", "schema", "card_number"]
    assert mixed[50:53, 1:5].null_count().sum_horizontal().item() == 12
    assert_frame_equal(pl.concat([mixed[:50], mixed[53:]]), good)


@pytest.mark.parametrize(
    ("source", "target", "options", "sentence"),
    [
        ("absent.csv", "out.csv", [], "absent.csv is not there"),
        ("good.parquet", "out.xlsx", [], "ends in neither .csv nor .parquet"),
        ("good.parquet", "absent/out.csv", [], "cannot be written"),
        ("noise.parquet", "out.csv", [], "cannot be read as its suffix says"),
        ("good.parquet", "out.csv", ["--map", "card_id=CARD"], "has no column CARD"),
        ("good.parquet", "out.csv", ["--map", "card=card_id"], "is not FIELD=COLUMN"),
        ("good.parquet", "out.csv", ["--bundle", "absent"], "absent"),
    ],
)
def test_a_mistake_is_one_sentence(
    source: str,
    target: str,
    options: list[str],
    sentence: str,
    payments: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And status 2, and no half-written file."""
    payments.write_parquet(tmp_path / "good.parquet")
    (tmp_path / "noise.parquet").write_bytes(b"noise" * 100)
    assert run_main(monkeypatch, "batch", str(tmp_path / source), str(tmp_path / target), *options) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert sentence in error[-1]
    assert not any("Traceback" in line for line in error)
    assert not list(tmp_path.glob("out*"))


def test_labels_of_the_file_move_the_scores_of_later_payments_at_their_terminal(
    payments: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty days at one terminal, the first ten all fraud: known after the delay, so not before, and never without."""
    days = payments.with_columns(
        event_time_ms=pl.col("event_time_ms").first() + pl.int_range(pl.len()) * 18_000_000,
        terminal_id=pl.lit("terminal"),
        was=pl.when(pl.int_range(pl.len()) < 50).then(pl.lit("fraud")).otherwise(pl.lit("legitimate")),
    )
    days.write_parquet(tmp_path / "in.parquet")
    without = score(monkeypatch, tmp_path / "in.parquet")["probability"]
    known = score(monkeypatch, tmp_path / "in.parquet", "--label", "was")["probability"]
    late = score(monkeypatch, tmp_path / "in.parquet", "--label", "was", "--label-delay-days", "40")["probability"]
    first = int((known != without).arg_max() or 0)
    assert 8 * 4 <= first <= 10 * 5  # some payments after the eighth day begins
    assert late.equals(without)


def test_a_label_that_is_none_is_one_sentence(
    payments: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What may be written is in it."""
    payments.write_parquet(tmp_path / "in.parquet")
    files = [str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet")]
    assert run_main(monkeypatch, "batch", *files, "--label", "amount") == 2
    assert "say what it means with --word WORD=yes or --word WORD=no; known are fraud, yes" in capsys.readouterr().err
    assert run_main(monkeypatch, "batch", *files, "--label", "colour") == 2
    assert "no column colour" in capsys.readouterr().err


def test_a_run_in_which_nothing_was_scored_is_an_error(
    payments: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commonest reason is on the screen, with how many rows and the first one's line."""
    payments.with_columns(amount=pl.lit("n/a")).write_csv(tmp_path / "in.csv")
    assert run_main(monkeypatch, "batch", str(tmp_path / "in.csv"), str(tmp_path / "out.csv")) == 2
    error = capsys.readouterr().err
    assert "None of the 100 payments could be scored; the commonest reason: amount (column amount) is missing" in error
    assert "first line" in error


def test_the_commonest_reasons_are_counted_with_the_first_line(
    payments: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the line of JSON, too; what is not read is noted."""
    row = pl.int_range(pl.len())
    bad = payments.with_columns(amount=pl.when(row.is_in([3, 9])).then(pl.lit("ten")).otherwise(row.cast(pl.String)))
    bad.with_columns(town=pl.lit("x")).write_csv(tmp_path / "in.csv")
    arguments = ["batch", str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    assert run_main(monkeypatch, *arguments, "--json") == 0
    reason = json.loads(capsys.readouterr().out)["reasons"][0]
    assert (reason["rows"], reason["first_line"]) == (2, 5)
    assert run_main(monkeypatch, *arguments) == 0
    assert "not read: town" in capsys.readouterr().err
    assert pl.read_csv(tmp_path / "out.csv")["detail"].drop_nulls().str.contains("is text where a number is due").all()
