"""A pseudonym key is rotated: a second set of topics is warmed under the new one, then takes over; no score notices."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models.bundle.load import load_bundle
from models.scoring.session import ModelSession
from services.cli.app import app
from services.scorer.offline import OfflinePartition, Payload
from services.scorer.processor import Limits
from tests.models.bundle.making import COMMITTED
from tests.services.harness import BASE_TIME_MS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CARDS = [f"400000000000{number:03d}" for number in range(20)]
IDLE = "400000000000999"
"""Pays once before the rotation and once after the cut-over."""
LIMITS = Limits(65_536, 0, 100_000, 10_000)


def card_number(stem: str) -> str:
    """With its check digit."""
    total = 0
    for place, digit in enumerate(reversed(stem)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return f"{stem}{-total % 10}"


def raw_payments(days: int) -> list[dict[str, object]]:
    """A payment an hour; each card pays about once a day, now and then much."""
    return [
        {
            "transaction_id": f"t-{hour}",
            "event_time_ms": BASE_TIME_MS + hour * HOUR_MS,
            "card_number": card_number(IDLE if hour in (30, (days - 2) * 24) else CARDS[hour * 7 % len(CARDS)]),
            "terminal_id": f"m-{hour % 11}",
            "amount": 10.0 + hour % 13 + (900.0 if hour % 97 == 0 else 0.0),
        }
        for hour in range(days * 24)
    ]


def scored(session: ModelSession, payloads: list[bytes]) -> dict[str, bytes]:
    """Bits of the scores by payment, from an empty history."""
    part = OfflinePartition(session, LIMITS).judge([Payload(place, value) for place, value in enumerate(payloads)])
    assert not part.faults
    bits = np.stack(part.scores, axis=1)
    return {event_id: row.tobytes() for event_id, row in zip(part.events.ids, bits, strict=True)}


def test_after_the_warm_up_the_new_keys_topics_score_every_payment_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command writes each payment twice, under both keys, for as long as the features look back; then the old set may go.

    Without the warm-up the scores differ: every card would be new.
    """
    session = ModelSession(load_bundle(COMMITTED), "cpu")
    looks_back_days = -(-session.bundle.manifest.feature_spec.history_ms // DAY_MS)
    before_days, after_days = 10, 5
    run = CliRunner()
    for number, setting in ((2, ""), (1, "PREVIOUS_")):
        assert run.invoke(app, ["privacy", "keygen", str(tmp_path / f"k{number}")]).exit_code == 0
        monkeypatch.setenv(f"ASSAY_PSEUDONYM_{setting}KEY_FILE", str(tmp_path / f"k{number}.secret"))
        monkeypatch.setenv(f"ASSAY_PSEUDONYM_{setting}KEY_ID", f"k{number}")
    made = raw_payments(before_days + looks_back_days + after_days)
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(each) + "\n" for each in made))
    new, old = tmp_path / "new.jsonl", tmp_path / "old.jsonl"
    command = ["privacy", "pseudonyms", str(tmp_path / "raw.jsonl"), "--out", str(new), "--previous-out", str(old)]
    assert run.invoke(app, command).exit_code == 0
    under_new, under_old = new.read_bytes().splitlines(), old.read_bytes().splitlines()

    rotation, cut_over = before_days * 24, (before_days + looks_back_days) * 24
    always = scored(session, under_old)
    warmed = scored(session, under_new[rotation:])
    cold = scored(session, under_new[cut_over:])
    after = [str(each["transaction_id"]) for each in made[cut_over:]]
    assert len(after) == after_days * 24
    assert [warmed[each] for each in after] == [always[each] for each in after]
    assert sum(cold[each] != always[each] for each in after) > len(after) / 2
