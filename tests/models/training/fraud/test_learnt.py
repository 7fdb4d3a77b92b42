"""Categories whose values training learns: from its own cut alone, to the same bits in training, files and stream."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.bundle.load import load_bundle
from models.bundle.trust import Trust
from models.features.fold import fold
from models.features.layout import number_fields, stream_fields
from models.features.learnt import cross_fitted, learnt
from models.features.spec_file import FeatureSpecError, load_spec, parse_spec
from models.features.state import FeatureState
from models.scoring.devices import open_session
from models.scoring.scores import Scores
from models.sources.fits import misfit
from models.sources.parser import EventParser
from models.training.data import Cuts, TrainingError, train_days
from models.training.fraud.file_history import read_history
from models.training.fraud.history import History
from models.training.fraud.train import FraudSettings, cuts_from, train_fraud, with_epochs
from schemas.feature_kinds.event import CategoryFeature
from schemas.feature_spec import FeatureSpec
from tests.models.training.fraud import shop_kinds
from tests.models.training.fraud.shop_kinds import BAD, DAY_MS, NEW, RARE, START_DAY

SPEC = """
version: 1
keys: {card: card_id}
windows: [{duration: 7d, buckets: 7}]
features:
  - {name: amount, kind: field, field: amount}
  - {name: is_night, kind: calendar, part: is_night}
  - {name: count_7d, kind: window, key: card, aggregation: count, window: 7d}
  - {name: code, kind: category, attribute: kind, learn: {values_max: 8}}
  - {name: rate, kind: category, attribute: kind, learn: {encode: rate}}
  - {name: share, kind: category, attribute: kind, learn: {encode: frequency}}
"""
CUTS = Cuts(validation_days=5, delay_days=3, test_days=6)


def settings(spec: str = SPEC) -> FraudSettings:
    """A short run."""
    made = FraudSettings(
        spec=parse_spec(spec), source=shop_kinds.source(), cuts=CUTS, compared=False, gan=None, name="shop"
    )
    return with_epochs(replace(made, accepted=("constant", "logistic")), 2)


def read(path: Path, asked: FraudSettings) -> History:
    """A file's history, as the command reads it."""
    return read_history(
        path, {}, "is_fraud", asked.spec, source=asked.source,
        train_days=lambda first_day, days: train_days(days, cuts_from(asked, first_day, days)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days in a file."""
    path = tmp_path_factory.mktemp("learnt") / "payments.jsonl"
    shop_kinds.write(path, per_day=120)
    return path


@pytest.fixture(scope="module")
def history(payments: Path) -> History:
    """The same with features."""
    return read(payments, settings())


def category(spec: FeatureSpec | None, name: str) -> CategoryFeature:
    """A learnt feature."""
    assert spec is not None
    found = spec.features[spec.names.index(name)]
    assert isinstance(found, CategoryFeature)
    return found


def kinds_of(payments: Path) -> pl.DataFrame:
    """The file's rows."""
    rows = pl.DataFrame([json.loads(line) for line in payments.read_text().splitlines()])
    return rows.with_columns(day=pl.col("at") // DAY_MS - START_DAY)


def test_the_commonest_values_of_the_training_cut_are_named_and_nothing_later_is(
    payments: Path, history: History
) -> None:
    """The new value comes often enough, and only after the cut; rare ones share a place; a missing one has its own."""
    rows = kinds_of(payments).filter(pl.col("day") < 30 - 5 - 3 - 6)
    counts = dict(rows.drop_nulls("kind")["kind"].value_counts().iter_rows())
    common = sorted(counts, key=lambda kind: (-counts[kind], kind))
    code, rate, share = (category(history.spec, name) for name in ("code", "rate", "share"))
    assert list(code.values) == common[:8]
    assert [one.number for one in code.values.values()] == [*range(2, 10)]
    assert code.other is not None
    assert (code.other.number, code.missing) == (1.0, 0.0)
    assert set(rate.values) == {kind for kind in counts if counts[kind] >= 20}
    assert not any(kind == NEW or kind.startswith(RARE) for kind in rate.values)
    assert share.values[common[0]].number == pytest.approx(counts[common[0]] / len(rows), abs=1e-8)
    frauds = rows.filter(pl.col("is_fraud"))
    of_bad = frauds.filter(pl.col("kind") == BAD[0]).height
    expected = (of_bad + 50 * frauds.height / rows.height) / (counts[BAD[0]] + 50)
    assert rate.values[BAD[0]].number == pytest.approx(expected, abs=1e-8)
    assert code.value_words(2.0) == common[0]
    assert code.value_words(0.0) == "not known"
    assert code.value_words(1.0) == "another value"
    assert rate.value_words(np.float32(rate.values[BAD[0]].number).item()).startswith(BAD[0])


def test_payments_after_the_cut_change_nothing_that_is_learnt(payments: Path, history: History, tmp_path: Path) -> None:
    """Other labels and other kinds there: the same spec."""
    rows = [json.loads(line) for line in payments.read_text().splitlines()]
    for row in rows:
        if row["at"] // DAY_MS - START_DAY >= 16:
            row |= {"kind": "kind-0", "is_fraud": row["id"][-1] == "7"}
    (tmp_path / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = read(tmp_path / "other.jsonl", settings())
    assert other.spec is not None
    assert history.spec is not None
    assert other.spec.digest() == history.spec.digest()


def test_the_stream_reads_the_bits_that_the_file_gave(payments: Path, history: History) -> None:
    """By the learnt spec alone. Only the training cut's own rows read rates of other cards, so that none reads its label."""
    spec = history.spec
    assert spec is not None
    found = EventParser(shop_kinds.source()).batch([line.encode() for line in payments.read_text().splitlines()])
    assert found is not None
    columns = found.columns(stream_fields(spec), None, number_fields(spec))
    matrix, _ = fold(FeatureState(spec, cards_max=1_000), columns)
    of_train = history.data.day < 16
    rate = spec.names.index("rate")
    assert np.array_equal(matrix[~of_train], history.data.features[~of_train])
    others = np.arange(len(spec.names)) != rate
    assert np.array_equal(matrix[:, others], history.data.features[:, others])
    assert not np.array_equal(matrix[of_train, rate], history.data.features[of_train, rate])


def test_a_rows_own_label_is_not_in_its_rate() -> None:
    """Turned over, it changes the rates of other cards' rows, and never its own."""
    spec = parse_spec(SPEC)
    texts = {place: ["a"] * 60 + ["b"] * 40 for place in (3, 4, 5)}
    is_fraud, card = np.arange(100) % 7 == 0, np.arange(100, dtype=np.int64)
    spec = learnt(spec, texts, is_fraud)
    before = cross_fitted(spec, texts, is_fraud, card)[4]
    turned = is_fraud.copy()
    turned[3] = ~turned[3]
    after = cross_fitted(spec, texts, turned, card)[4]
    assert after[3] == before[3]
    assert (after[:60] != before[:60]).sum() == 48


def test_a_bundle_carries_what_was_learnt_and_is_the_same_for_the_same_seed(
    payments: Path, history: History, tmp_path: Path
) -> None:
    """The graph says what the networks say (checked to 1e-5 when it is written); values that never came differ in nothing."""
    manifest = train_fraud(settings(), tmp_path / "one", history=history)
    train_fraud(settings(), tmp_path / "two", history=read(payments, settings()))
    assert {p.name: p.read_bytes() for p in (tmp_path / "one").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "two").iterdir()
    }
    bundle = load_bundle(tmp_path / "one", Trust(allow_unsigned=True))
    assert bundle.manifest.feature_spec == history.spec
    assert manifest.inputs_digest != settings().spec.digest()
    session = open_session(bundle.model, ["CPUExecutionProvider"])
    rows = np.repeat(history.data.features[-1:], 4, axis=0)
    rows[:, 3] = [2.0, 1.0, 0.0, 200.0]
    scores = Scores(*session.run(Scores._fields, {"features": rows}))
    # each value has weights of its own, in classifier and autoencoder; 200 is a code that no value has
    assert len(set(scores.probability.tolist())) == 4
    assert len(set(scores.reconstruction_error.tolist())) == 4


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        ("{attribute: kind}", "name the values and their numbers, or write learn: {}"),
        ("{attribute: kind, learn: {}, missing: 0}", "values, other and missing are learnt together"),
        ("{attribute: kind, learn: {}, values: {a: {number: 1}}}", "values, other and missing are learnt together"),
        ("{attribute: kind, learn: {encode: hashed}}", "'embedding', 'frequency' or 'rate'"),
    ],
)
def test_a_spec_that_learns_by_halves_is_refused(feature: str, sentence: str) -> None:
    """With the fix."""
    spec = SPEC.split("  - {name: code")[0] + "  - {name: code, kind: category, " + feature[1:]
    with pytest.raises(FeatureSpecError, match="line 9") as found:
        parse_spec(spec)
    assert sentence in str(found.value)


def test_open_values_compute_nothing(tmp_path: Path) -> None:
    """A file of them is refused with what learns them; a simulation has no attributes; a bundle cannot hold them."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    with pytest.raises(FeatureSpecError, match=r"values of code, rate, share are to be learnt.*--learn"):
        load_spec(tmp_path / "spec.yaml")
    assert load_spec(tmp_path / "spec.yaml", may_learn=True).open_categories == ("code", "rate", "share")
    with pytest.raises(TrainingError, match="no attributes to learn the values of code, rate, share from"):
        train_fraud(settings(), tmp_path / "bundle")


def test_values_of_a_personal_attribute_are_not_learnt() -> None:
    """They would stand in a bundle that many hold."""
    found = misfit(parse_spec(SPEC.replace("attribute: kind", "attribute: secret")), shop_kinds.source())
    assert found is not None
    assert "secret, which is personal" in found
