"""Categories of applications whose values training learns: from its own part alone, the same in training, files and stream."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.bundle.load import Bundle, load_bundle
from models.features.attributes import AttributeMapping, Value
from models.features.spec_file import parse_spec
from models.files.applications import Applications, read
from models.scoring.adverse_action import adverse_reasons
from models.scoring.session import ModelSession
from models.simulation.applications import drawn
from models.training.credit.learning import taught
from models.training.credit.train import PUBLIC_CARD, CreditSettings, CreditSource, chosen_names, network, train_credit
from models.training.data import TrainingError
from schemas.feature_kinds.event import CategoryFeature
from schemas.feature_spec import FeatureSpec

pytestmark = pytest.mark.train

SPEC = """
version: 1
features:
  - {name: limit, kind: number, attribute: LIMIT_BAL, at_least: 0, transform: log1p}
  - {name: delay, kind: number, attribute: PAY_0}
  - {name: region, kind: category, attribute: region, learn: {values_max: 4}}
  - {name: region_rate, kind: category, attribute: region, learn: {encode: rate}}
  - {name: region_share, kind: category, attribute: region, learn: {encode: frequency}}
"""
GOOD, BAD, RARE = ("12", "north", "south"), "moon", "isle"
SOURCE = CreditSource("Simulated.", PUBLIC_CARD, 1_700_000_000_000)
SETTINGS = CreditSettings(spec=parse_spec(SPEC), seed=5, **network("wide", epochs=4), accepted=("constant", "logistic"))


def simulated(count: int = 2_000) -> Applications:
    """Applications with a region, which says much about the outcome; some have none, one is met too seldom to be named."""
    batch, random = drawn(count, seed=2, start_ms=0), np.random.default_rng(7)
    rows: list[dict[str, Value]] = []
    for row, bad in zip(batch.rows(), batch.defaulted.tolist(), strict=True):
        region: Value = BAD if random.random() < (0.6 if bad else 0.05) else GOOD[int(random.integers(3))]
        region = {"12": 12.0}.get(str(region), region)
        draw = random.random()
        rows.append({**row, "region": RARE if draw < 0.003 else None if draw < 0.03 else region})
    return Applications(rows, batch.defaulted)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A short training."""
    path = tmp_path_factory.mktemp("learnt") / "bundle"
    train_credit(SETTINGS, simulated(), SOURCE, path)
    return load_bundle(path)


def category(spec: FeatureSpec, name: str) -> CategoryFeature:
    """A learnt feature."""
    found = spec.features[spec.names.index(name)]
    assert isinstance(found, CategoryFeature)
    return found


def test_values_are_of_the_training_part_alone(bundle: Bundle) -> None:
    """Other outcomes outside of it change nothing; inside they do."""
    spec, applications = bundle.manifest.feature_spec, simulated()
    assert set(category(spec, "region").values) == {*GOOD, BAD}
    assert category(spec, "region_rate").values[BAD].number > 3 * category(spec, "region_rate").values["north"].number
    assert applications.defaulted is not None
    again, data, refused = taught(SETTINGS.spec, applications.attributes, applications.defaulted, SETTINGS.seed)
    assert (again, refused) == (spec, 0)
    assert len(data) == len(applications)
    truth = applications.defaulted.copy()
    truth[::2] = truth[::2][::-1]
    assert taught(SETTINGS.spec, applications.attributes, truth, SETTINGS.seed)[0] != spec


def test_the_rows_that_train_read_rates_of_other_rows(bundle: Bundle) -> None:
    """Each of five folds its own; all other rows read the spec's."""
    applications = simulated()
    assert applications.defaulted is not None
    spec, data, _ = taught(SETTINGS.spec, applications.attributes, applications.defaulted, SETTINGS.seed)
    in_bad = np.array([row["region"] == BAD for row in applications.attributes])
    place = spec.names.index("region_rate")
    plain, _ = AttributeMapping(spec).matrix(applications.attributes)
    assert len(np.unique(plain[in_bad, place])) == 1
    assert len(np.unique(data.features[in_bad, place])) == 6


def test_rare_unseen_and_missing_values_are_scored_and_have_words(bundle: Bundle) -> None:
    """A rare one as one never seen; a missing one has its own number; a rate says of what it is one."""
    spec, first = bundle.manifest.feature_spec, simulated().attributes[0]
    rows: list[dict[str, Value]] = [{**first, "region": region} for region in (RARE, "nowhere", None, 12.0, BAD)]
    matrix, problems = AttributeMapping(spec).matrix(rows)
    assert not problems
    np.testing.assert_array_equal(matrix[0], matrix[1])
    assert len(np.unique(matrix[:, spec.names.index("region")])) == 4
    session = ModelSession(bundle, "cpu")
    assert session.run(matrix).probability[4] > session.run(matrix).probability[3]
    assert category(spec, "region_rate").value_words(float(matrix[4, 3])).endswith("% defaults)")
    (reasons,) = adverse_reasons(session, matrix[4:], ["probability"])
    assert any("moon" in reason.text for reason in reasons)


def test_a_file_names_whole_numbers_as_a_stream_does(bundle: Bundle, tmp_path: Path) -> None:
    """12, 12.0 and a number 12 are one value, whether its name is known or to be learnt."""
    path = tmp_path / "applications.csv"
    rows = [
        {**row, "region": None if row["region"] is None else str(row["region"])} for row in simulated(50).attributes
    ]
    pl.DataFrame(rows).write_csv(path)
    for spec in (SETTINGS.spec, bundle.manifest.feature_spec):
        found = [row["region"] for row in read(path, {}, spec).attributes]
        assert set(found) <= {*GOOD, BAD, RARE, None}
        assert "12" in found


def test_the_reference_network_takes_rates_and_refuses_codes(tmp_path: Path) -> None:
    """In a sentence that says what to do; codes are not chosen, either."""
    reference = replace(SETTINGS, **network("reference", epochs=1))
    eight = SPEC + "".join(f"  - {{name: p{n}, kind: number, attribute: PAY_{n}}}\n" for n in (2, 3, 4))
    with pytest.raises(TrainingError, match="values of region are embedded: learn them with encode: rate or frequency"):
        train_credit(replace(reference, spec=parse_spec(eight)), simulated(300), SOURCE, tmp_path / "bundle")
    chosen = chosen_names(SETTINGS.spec, simulated(), 5, SETTINGS.seed)
    assert sorted(chosen) == sorted(set(SETTINGS.spec.names) - {"region"})
