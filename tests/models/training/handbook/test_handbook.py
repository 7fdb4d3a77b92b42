"""The handbook's features, cuts and page: against brute force, against its own file where it is there, and in words."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.training.data import Dataset
from models.training.handbook.contest import DEFAULT_NET, VAE
from models.training.handbook.features import WINDOW_DAYS, book_features
from models.training.handbook.figures import FIGURES, HandbookFigures, Row, read_figures, write_figures
from models.training.handbook.page import handbook_section
from models.training.handbook.run import main, payments
from models.training.handbook.windows import EPOCH_DAY, FOLDS, SINGLE, window
from schemas.evaluation import Estimate

DAY_MS = 86_400_000


def history(rows: int, seed: int) -> pl.DataFrame:
    """Payments of a few cards and terminals over two months; no two at the same second."""
    random = np.random.default_rng(seed)
    seconds = np.sort(random.choice(60 * 86_400, rows, replace=False))
    return pl.DataFrame(
        {
            "card_id": random.choice(["a", "b", "c"], rows),
            "terminal_id": random.choice(["t", "u", "v", "w"], rows),
            "event_time_ms": 1_522_540_800_000 + seconds * 1000,
            "amount": random.gamma(2.0, 30.0, rows).round(2),
            "is_fraud": random.random(rows) < 0.2,
        }
    )


def by_hand(frame: pl.DataFrame, row: int) -> list[float]:
    """The fifteen inputs of one payment, by looking at every other."""
    card, terminal, time, amount, fraud = (
        frame[name].to_numpy() for name in ("card_id", "terminal_id", "event_time_ms", "amount", "is_fraud")
    )
    day, hour = (time[row] // DAY_MS + 3) % 7, time[row] % DAY_MS // 3_600_000
    values = [amount[row], float(day >= 5), float(hour < 7)]
    for days in WINDOW_DAYS:
        own = (card == card[row]) & (time > time[row] - days * DAY_MS) & (time <= time[row])
        values += [float(own.sum()), float(amount[own].mean())]
    for days in WINDOW_DAYS:
        end = time[row] - 7 * DAY_MS
        known = (terminal == terminal[row]) & (time > end - days * DAY_MS) & (time <= end)
        values += [float(known.sum()), float(fraud[known].mean()) if known.any() else 0.0]
    return values


def test_the_books_features_equal_a_count_by_hand() -> None:
    """On every payment of a random history."""
    frame = history(150, 0)
    expected = np.array([by_hand(frame, row) for row in range(len(frame))])
    np.testing.assert_allclose(book_features(frame), expected, rtol=1e-5)


def test_the_books_features_equal_the_books_own_values() -> None:
    """On the 4,967 payments that the handbook's file gives to check against: all fourteen columns, every row."""
    directory = Path(os.environ.get("ASSAY_DATA_DIR", "")) / "handbook"
    if "ASSAY_DATA_DIR" not in os.environ or not (directory / "feature_check.csv.gz").is_file():
        pytest.skip(
            "needs the handbook's payments: set ASSAY_DATA_DIR to a directory with handbook/feature_check.csv.gz"
        )
    frame = payments(directory)
    check = pl.read_csv(directory / "feature_check.csv.gz")
    rows = frame["transaction_id"].cast(pl.Int64)
    place = {number: row for row, number in enumerate(rows.to_list())}
    features = book_features(frame)[[place[number] for number in check["TRANSACTION_ID"].to_list()], 1:]
    np.testing.assert_allclose(features, check.drop("TRANSACTION_ID").to_numpy(), rtol=1e-5, atol=1e-6)


def test_a_window_is_a_week_a_gap_and_a_week_without_the_cards_that_were_known() -> None:
    """One card is stolen in the training week; another on the delay's second day, known from the test's third day on."""
    day, card = (grid.ravel() for grid in np.mgrid[0:40, 0:3])
    stolen = {(10, 0), (18, 1), (25, 2)}
    fraud = np.array([(d, c) in stolen for d, c in zip(day.tolist(), card.tolist(), strict=True)])
    data = Dataset(np.zeros((len(day), 1), np.float32), card, day, fraud, fraud.astype(np.int8))
    first_day = pl.Series(["2018-07-02"]).str.to_date()[0].toordinal() - EPOCH_DAY
    part = window(data, first_day, "2018-07-11")
    assert np.unique(part.week_before.day).tolist() == list(range(2, 9))
    assert np.unique(part.train.day).tolist() == list(range(9, 16))
    assert np.unique(part.test.day).tolist() == list(range(23, 30))
    assert not (part.test.card == 0).any()
    assert part.test.day[part.test.card == 1].tolist() == [23, 24, 25]
    assert part.test.day[part.test.card == 2].tolist() == list(range(23, 30))


def figures(value: float) -> dict[str, Estimate]:
    return {name: Estimate(value=value, low=value - 0.05, high=value + 0.05) for name in FIGURES}


def test_the_page_puts_published_rows_above_ours_and_says_what_falls_short(tmp_path: Path) -> None:
    """A net above the book's precision and below its ROC AUC; folds only where all four are there; a round trip."""
    rows = [Row(window=SINGLE, features="ours", model=DEFAULT_NET, figures=figures(0.7))]
    rows += [Row(window=start, features="ours", model=VAE, figures=figures(0.3)) for start in FOLDS]
    write_figures(tmp_path / "f.json", HandbookFigures(libraries={"numpy": "2"}, rows=tuple(rows)))
    text = "\n".join(handbook_section(read_figures(tmp_path / "f.json")))
    assert text.index("feed-forward net, 1 x 1000 | 0.864") < text.index("0.700 [0.650, 0.750]")
    assert "the book's feed-forward net, 1 x 1000: ROC AUC -0.164 (below), AP +0.047 (at or above)" in text
    assert "0.300 ± 0.000" in text
    assert "0.700 ± " not in text


def test_a_directory_without_the_payments_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and what to give."""
    assert main(["--data", str(tmp_path)]) == 2
    assert "give the handbook's directory" in capsys.readouterr().err


def test_the_command_measures_each_model_once_and_keeps_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a small history in the book's format: a row for each model and set of features, and nothing the second time."""
    frame = history(4_000, 1)
    renamed = frame.select(
        pl.int_range(pl.len()).alias("TRANSACTION_ID"),
        pl.from_epoch(pl.col("event_time_ms") + 70 * DAY_MS, "ms").alias("TX_DATETIME"),
        pl.concat_str("card_id", pl.int_range(pl.len()) % 300).alias("CUSTOMER_ID"),
        pl.col("terminal_id").alias("TERMINAL_ID"),
        pl.col("amount").alias("TX_AMOUNT"),
        pl.col("is_fraud").cast(pl.Int8).alias("TX_FRAUD"),
        pl.col("is_fraud").cast(pl.Int8).alias("TX_FRAUD_SCENARIO"),
    )
    renamed.write_parquet(tmp_path / "transactions_1.parquet")
    out = tmp_path / "figures.json"
    command = ["--data", str(tmp_path), "--out", str(out), "--windows", "2018-07-04", "--features"]
    assert main([*command, "our engine, fraud.yaml"]) == 0
    first = read_figures(out)
    assert len({row.key for row in first.rows}) == len(first.rows) >= 6
    assert all(0.0 <= row.figures["average_precision"].value <= 1.0 for row in first.rows)
    capsys.readouterr()
    assert main([*command, "our engine, fraud.yaml"]) == 0
    assert read_figures(out) == first
    assert capsys.readouterr().out == ""
