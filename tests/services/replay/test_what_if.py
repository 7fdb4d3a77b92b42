"""What would have been decided: the same question gives what was decided, another the figures of a plain count."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from schemas import codec
from schemas.score import Score
from services.engine.batches import Record
from services.replay.archive import ArchivedRecord, write_archive
from services.replay.dataset import FEATURE_PREFIX
from services.replay.figures import Costs, by_rule, by_segment, changed, figures
from services.replay.log import EmittedScore, Spans
from services.scorer.offline import OfflinePartition, Part
from services.scorer.processor import Limits
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.swapping.loader import load_session
from services.verification.read import Progress, Span
from tests.services.cli.test_app import run_main
from tests.services.harness import BASE_TIME_MS, payment

PAYMENTS = 1200
POLICY = """
name: fraud
version: 2
actions: {probability: review, anomaly_percentile: review}
rules:
  - {name: large, words: a large payment, condition: amount > 900, action: decline, owner: a test}
  - {name: never, words: nothing, condition: amount < 0, action: decline, owner: a test}
  - {name: tried, words: not yet, condition: amount > 500, action: decline, owner: a test, state: shadow}
"""


def paid(i: int) -> dict[str, Any]:
    """The i-th payment."""
    return payment(i, amount=25.0 + i % 950, event_time_ms=BASE_TIME_MS + i * 600_000)


def amount_of(i: int) -> float:
    """As the payment has it."""
    return float(paid(i)["amount"])


class Scored:
    """A log of payments on two partitions, with the scores that a scorer would have emitted."""

    def __init__(self) -> None:
        session, _ = load_session(load(ScorerSettings))
        limits = Limits.of(load(RuntimeSettings), load(ScorerSettings))
        values = [json.dumps(paid(i)).encode() for i in range(PAYMENTS)]
        self.records = [
            ArchivedRecord("transactions", i % 2, i // 2, paid(i)["event_time_ms"], b"k", v)
            for i, v in enumerate(values)
        ]
        parts: list[tuple[int, Part]] = []
        for number in (0, 1):
            own: list[Record] = [record for record in self.records if record.partition == number]
            parts.append((number, OfflinePartition(session, limits, of_log=True).judge(own)))
        self.emitted = [score for number, part in parts for score in _scores(number, part, session.model_name)]
        self.parts = parts

    async def spans(self) -> Spans:
        """All of it."""
        return Spans("transactions", {0: Span(0, PAYMENTS // 2), 1: Span(0, PAYMENTS // 2)})

    async def scores(self, progress: Progress | None) -> AsyncIterator[Sequence[EmittedScore]]:
        """One chunk."""
        yield self.emitted

    async def profiles(self) -> list[Record]:
        """None."""
        return []

    async def lists(self) -> list[Record]:
        """None."""
        return []

    async def inputs(self, progress: Progress | None) -> AsyncIterator[tuple[int, list[Record]]]:
        """Each partition at once."""
        for number in (0, 1):
            yield number, [record for record in self.records if record.partition == number]


def _scores(number: int, part: Part, model: str) -> list[EmittedScore]:
    found = []
    for row, record in enumerate(part.records):
        score = Score(
            transaction_id=part.events.ids[row],
            event_time_ms=int(part.events.time_ms[row]),
            card_id=part.events.subjects[row],
            probability=float(part.scores.probability[row]),
            reconstruction_error=float(part.scores.reconstruction_error[row]),
            anomaly_percentile=float(part.scores.anomaly_percentile[row]),
            alert=bool(part.alert[row]),
            model=model,
        )
        found.append(EmittedScore(number, record.offset, 0, codec.write(score)))
    return found


@pytest.fixture(scope="module")
def scored() -> Scored:
    """Scored once for all tests here."""
    return Scored()


@pytest.fixture
def asked(scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`assay what-if --json` over an archive, every seventh payment a fraud."""
    asyncio.run(write_archive(scored, tmp_path / "archive"))
    labels = tmp_path / "labels.csv"
    labels.write_text("transaction_id,verdict\n" + "".join(f"tx-{i:09d},fraud\n" for i in range(0, PAYMENTS, 7)))

    def ask(*arguments: str, source: tuple[str, ...] = ("--archive", str(tmp_path / "archive"))) -> dict[str, Any]:
        status = run_main(
            monkeypatch, "what-if", *source, "--labels", str(labels), "--workers", "1", "--json", *arguments
        )
        out, err = capsys.readouterr()
        assert status == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    return ask


@pytest.mark.slow
def test_the_same_bundle_decides_what_was_decided(asked: Any, scored: Scored) -> None:
    """The replay's own fold, on as many processes as there are partitions: nothing is decided otherwise."""
    found = asked("--workers", "2")
    assert found == asked() | {"as_of_ms": found["as_of_ms"]}
    alerts = sum(int(part.alert.sum()) for _, part in scored.parts)
    assert 0 < alerts < PAYMENTS
    assert (found["changed"], found["would"]) == (0, found["then"])
    assert (found["would"]["payments"], found["would"]["alerts"]) == (PAYMENTS, alerts)
    assert found["would"]["frauds"] == len(range(0, PAYMENTS, 7))


def test_other_thresholds_change_what_a_plain_count_finds(asked: Any, scored: Scored, tmp_path: Path) -> None:
    """The changes are in the file, and on a page without scripts."""
    part_of = np.concatenate([part.scores.probability for _, part in scored.parts])
    bound = float(np.quantile(part_of, 0.7))
    out, page = tmp_path / "changes.parquet", tmp_path / "page.html"
    given = (
        "--thresholds",
        f"probability={bound},anomaly_percentile=100",
        "--costs",
        "missed_share=0,stopped=2,alert=1",
    )
    found = asked(*given, "--changes", str(out), "--page", str(page), "--by", "terminal_id")
    alert = {
        name: bool(p >= np.float32(bound) or a >= 100)
        for _, part in scored.parts
        for name, p, a in zip(part.events.ids, part.scores.probability, part.scores.anomaly_percentile, strict=True)
    }
    frauds = {f"tx-{i:09d}" for i in range(0, PAYMENTS, 7)}
    caught = {name for name, on in alert.items() if on and name in frauds}
    stopped = {name for name, on in alert.items() if on and name not in frauds}
    would = found["would"]
    assert (would["alerts"], would["frauds_caught"], would["good_stopped"]) == (
        sum(alert.values()),
        len(caught),
        len(stopped),
    )
    assert would["money_caught"] == pytest.approx(sum(amount_of(int(name[3:])) for name in caught))
    assert would["cost"] == 2 * len(stopped) + sum(alert.values())
    then = {name: bool(on) for _, part in scored.parts for name, on in zip(part.events.ids, part.alert, strict=True)}
    assert set(pl.read_parquet(out)["transaction_id"]) == {name for name in alert if alert[name] != then[name]}
    assert (found["changed"], sum(row["payments"] for row in found["by"]["terminal_id"])) == (
        len(pl.read_parquet(out)),
        PAYMENTS,
    )
    text = page.read_text()
    assert "It would have caught" in text
    assert "<script" not in text


def test_a_policy_in_yaml_is_judged_rule_by_rule(asked: Any, tmp_path: Path) -> None:
    """Before it is signed; one that never holds is said, and one in shadow stops nothing."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    found = asked("--policy", str(policy), "--thresholds", "probability=1,anomaly_percentile=100")
    large = {i for i in range(PAYMENTS) if amount_of(i) > 900}
    rules = {row["rule"]: row for row in found["by_rule"]}
    assert (rules["large"]["hits"], rules["large"]["frauds"]) == (len(large), sum(i % 7 == 0 for i in large))
    assert (rules["never"]["hits"], rules["never"]["precision"], rules["tried"]["state"]) == (0, None, "shadow")
    assert rules["tried"]["hits"] == sum(amount_of(i) > 500 for i in range(PAYMENTS))
    assert found["would"]["alerts"] == len(large)


def test_a_data_set_with_features_is_judged_without_a_fold(asked: Any, scored: Scored, tmp_path: Path) -> None:
    """The same figures as the log's."""
    session, _ = load_session(load(ScorerSettings))
    frames = []
    for _, part in scored.parts:
        features = {
            f"{FEATURE_PREFIX}{name}": part.features[:, at]
            for at, name in enumerate(session.bundle.manifest.feature_spec.names)
        }
        own = {"transaction_id": part.events.ids, "event_time_ms": part.events.time_ms, "amount": part.events.amount}
        said = {"alert": part.alert, "probability": part.scores.probability, "is_fraud": [False] * len(part.alert)}
        frames.append(pl.DataFrame(own | said | features))
    pl.concat(frames).write_parquet(tmp_path / "set.parquet")
    of_rows = asked(source=("--data", str(tmp_path / "set.parquet")))
    assert (of_rows["would"], of_rows["changed"]) == (asked()["would"], 0)


def test_a_period_and_the_age_of_labels_choose_the_payments(asked: Any) -> None:
    """From inclusive, to exclusive, by event time; those whose labels are to come are left out."""
    found = asked("--from", "2020-01-02T00:00:00", "--to", "2020-01-03T00:00:00")
    assert found["would"]["payments"] == 144
    found = asked("--as-of", "2020-01-03T00:00:00", "--maturity-days", "1")
    assert found["would"]["payments"] == 145


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--thresholds", "probability=2"), "probability=0 to 1"),
        (("--thresholds", "p"), "probability=0 to 1"),
        (("--costs", "nothing.yaml"), "neither NAME=NUMBER nor a YAML file"),
        (("--archive", "a", "--data", "b"), "leave one out"),
        (("--changes", "changes.txt"), "--changes changes.txt cannot be written"),
        (("--data", "nothing.parquet"), "cannot be read as Parquet"),
    ],
)
def test_a_mistake_is_one_sentence_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    """Status 2."""
    assert run_main(monkeypatch, "what-if", *arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_policy_that_asks_lists_is_not_judged_on_a_data_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It has none, and a rule that finds nothing on an empty list would say so as if it were true."""
    policy = tmp_path / "policy.yaml"
    listed = (
        "  - {name: denied, words: on a list, condition: card_id IN LIST('denied'), action: decline, owner: a test}\n"
    )
    policy.write_text(f"lists: [denied]\n{POLICY}{listed}")
    assert run_main(monkeypatch, "what-if", "--data", "set.parquet", "--policy", str(policy)) == 2
    assert "A data set has no lists" in capsys.readouterr().err


def test_figures_add_up_by_rule_and_by_segment() -> None:
    """Money counts by size, so a refund is money, too; what nothing is known of is no share."""
    frame = pl.DataFrame(
        {
            "amount": [100.0, -50.0, 10.0, 5.0],
            "is_fraud": [True, True, False, False],
            "alert": [True, False, True, False],
            "then_alert": [False, False, True, False],
            "then_action": [None, None, "review", None],
            "action": ["decline", None, "decline", None],
            "transaction_id": list("abcd"),
            "rules": [["x", "y"], [], ["x"], []],
            "shadow_rules": [[], ["z"], [], []],
            "place": ["p", "p", "q", "q"],
        },
        schema_overrides={"rules": pl.List(pl.String), "shadow_rules": pl.List(pl.String)},
    )
    found = figures(frame, "alert", 2.0, Costs(alert=1))
    assert (found.frauds_caught, found.money_caught, found.frauds_missed, found.money_missed) == (1, 100.0, 1, 50.0)
    assert (found.good_stopped, found.alerts_a_day, found.precision, found.recall, found.cost) == (
        1,
        1.0,
        0.5,
        0.5,
        52.0,
    )
    nothing = figures(frame.filter(pl.lit(False)), "alert", 1.0, Costs())
    assert (nothing.precision, nothing.recall, nothing.recall_money) == (None, None, None)
    assert [(r["rule"], r["hits"], r["hits_alone"]) for r in by_rule(frame, {"x": "on", "y": "on", "z": "shadow"})] == [
        ("x", 2, 1), ("y", 1, 0), ("z", 1, 1)
    ]  # fmt: skip
    assert [(r["value"], r["frauds_caught_now"], r["good_stopped_then"]) for r in by_segment(frame, "place")] == [
        ("p", 1, 0), ("q", 0, 1)
    ]  # fmt: skip
    assert changed(frame)["transaction_id"].to_list() == ["a", "c"]
