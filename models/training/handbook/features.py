"""The handbook's fifteen model inputs, exact to the second, in Polars: what our own features are measured against.

After the prose of Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection:
Practical Handbook", 2022, chapter 3.4.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

WINDOW_DAYS = (1, 7, 30)
LABEL_DELAY_DAYS = 7
SATURDAY, NIGHT_ENDS = 6, 7


def book_features(payments: pl.DataFrame) -> NDArray[np.float32]:
    """float32[n, 15] of payments in order of time, in the book's order: amount, weekend, night, customer, terminal.

    payments: `card_id`, `terminal_id`, `event_time_ms` (UTC), `amount`, `is_fraud`. A window (t - w, t] holds the payment
    itself; the terminals' windows end a label delay earlier. Of two payments of a key in one second each counts the other.
    """
    frame = payments.select(
        pl.col("card_id", "terminal_id", "amount"),
        pl.from_epoch("event_time_ms", "ms").alias("time"),
        pl.col("is_fraud").cast(pl.Float64),
        pl.lit(1.0).alias("one"),
    )
    customer: list[pl.Expr] = []
    terminal: list[pl.Expr] = []
    for days in WINDOW_DAYS:
        count, amounts = (_windowed(column, "card_id", days) for column in ("one", "amount"))
        customer += [count.alias(f"customer_count_{days}"), (amounts / count).alias(f"customer_mean_{days}")]
        known, frauds = (_delayed(column, days) for column in ("one", "is_fraud"))
        share = pl.when(known > 0).then(frauds / known).otherwise(0.0)
        terminal += [known.alias(f"terminal_count_{days}"), share.alias(f"terminal_risk_{days}")]
    calendar = [
        (pl.col("time").dt.weekday() >= SATURDAY).alias("weekend"),
        (pl.col("time").dt.hour() < NIGHT_ENDS).alias("night"),
    ]
    features = frame.select(pl.col("amount"), *calendar, *customer, *terminal)
    return features.cast(pl.Float32).to_numpy()


def _windowed(column: str, key: str, days: int) -> pl.Expr:
    """Sum of the key's `column` in (t - days, t]."""
    return pl.col(column).rolling_sum_by("time", f"{days}d", closed="right").over(key)


def _delayed(column: str, days: int) -> pl.Expr:
    """Sum of the terminal's `column` in (t - delay - days, t - delay]."""
    both = _windowed(column, "terminal_id", LABEL_DELAY_DAYS + days)
    return (both - _windowed(column, "terminal_id", LABEL_DELAY_DAYS)).round(0)
