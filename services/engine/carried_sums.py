"""Sums of what is committed and not yet written, as text for the note of the committed offset.

The note is part of the transaction that commits, so after a crash nothing is missing and nothing counted again: the next
owner writes the sums as they were, by whichever model.
"""

import base64
import binascii
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import codec
from schemas.budget import BudgetSums
from schemas.metric import ScoringMetric

FORM = 1
Counts = NDArray[np.int64]

NUMBERS = (
    "first_offset",
    "last_offset",
    "until_ms",
    "model",
    "records",
    "scored",
    "alerts",
    "dead_letters",
    "late",
    "amount_sum",
    "alert_amount_sum",
    "clock_ms",
    "let_through",
)
OF_CHALLENGER = ("challenger", "challenger_scored", "challenger_alerts", "both_alerts")
HISTOGRAMS = ("probability_histogram", "anomaly_percentile_histogram")
HISTOGRAMS_OF_CHALLENGER = ("challenger_probability_histogram", "challenger_anomaly_percentile_histogram")


class CarriedSums(msgspec.Struct, array_like=True, frozen=True):
    """numbers: as NUMBERS. bins: uint16, of each feature. counts: all histograms, features last, `width` bytes each.

    budget: BudgetSums in JSON, where the policy has a budget. reasons: the packed window of the breaker. Without sums numbers
    is empty.
    """

    form: int
    numbers: list[Any]
    score_bins: int
    bins: bytes
    width: int
    counts: bytes
    budget: bytes = b""
    reasons: list[Any] | None = None


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(CarriedSums).decode


def carried(
    numbers: dict[str, Any],
    score_bins: int,
    bins: Counts,
    counts: Counts,
    budget: BudgetSums | None = None,
    reasons: list[Any] | None = None,
) -> str:
    """The note. counts: HISTOGRAMS, those of the challenger where there is one, then the features'."""
    width = 1 if counts.max(initial=0) < 1 << 8 else 2 if counts.max() < 1 << 16 else 8
    names = NUMBERS + OF_CHALLENGER if "challenger" in numbers else NUMBERS
    packed = CarriedSums(
        FORM,
        [numbers[name] for name in names],
        score_bins,
        bins.astype("<u2").tobytes(),
        width,
        counts.astype(f"<u{width}").tobytes(),
        b"" if budget is None else codec.write(budget),
        reasons,
    )
    return base64.b64encode(_encode(packed)).decode()


def without_sums(reasons: list[Any]) -> str:
    """A note of the breaker's window alone."""
    return base64.b64encode(_encode(CarriedSums(FORM, [], 0, b"", 1, b"", b"", reasons))).decode()


def reasons_of(note: str) -> list[Any] | None:
    """The packed window in a note; None where there is none."""
    try:
        return _decode(base64.b64decode(note, validate=True)).reasons
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return None


def has_sums(note: str) -> bool:
    """Whether there is more in a note than the breaker's window."""
    try:
        return bool(_decode(base64.b64decode(note, validate=True)).numbers)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return True


def metric_of(note: str, topic: str, partition: int) -> tuple[int, bytes] | None:
    """The last offset counted, and the record to write; None where the note is not one of ours."""
    try:
        packed = _decode(base64.b64decode(note, validate=True))
        fields = {"source_topic": topic, "source_partition": partition, **_fields(packed)}
        metric = codec.checked(ScoringMetric, fields)
    except (binascii.Error, msgspec.MsgspecError, ValueError, TypeError):
        return None
    return metric.last_offset, codec.write(metric)


def _fields(packed: CarriedSums) -> dict[str, Any]:
    names: tuple[str, ...] = NUMBERS
    histograms: tuple[str, ...] = HISTOGRAMS
    if len(packed.numbers) > len(NUMBERS):
        names, histograms = NUMBERS + OF_CHALLENGER, HISTOGRAMS + HISTOGRAMS_OF_CHALLENGER
    if packed.form != FORM or packed.width not in (1, 2, 8):
        raise ValueError("another form")
    counts = np.frombuffer(packed.counts, f"<u{packed.width}").tolist()
    lengths = [packed.score_bins] * len(histograms) + np.frombuffer(packed.bins, "<u2").tolist()
    if sum(lengths) != len(counts):
        raise ValueError("cut short")
    parts, at = [], 0
    for length in lengths:
        parts.append(tuple(counts[at : at + length]))
        at += length
    features: dict[str, Any] = {"feature_histograms": tuple(parts[len(histograms) :])}
    if packed.budget:
        features["budget"] = codec.read(BudgetSums, packed.budget)
    return dict(zip(names, packed.numbers, strict=True)) | dict(zip(histograms, parts, strict=False)) | features
