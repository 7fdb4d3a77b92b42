"""Golden rows: every output is compared, and what is no number never passes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.files import GOLDEN, BundleError
from models.bundle.graph import OUTPUTS
from models.bundle.load import Bundle, load_bundle
from models.scoring.golden import check_golden, golden_of, spread_rows
from models.scoring.session import ModelSession
from schemas.golden import Golden
from tests.models.bundle.making import COMMITTED, read_raw, version_of

FEATURE_ERRORS = OUTPUTS[-1]


class Bent(ModelSession):
    """A session one of whose outputs is not what the graph says."""

    def __init__(self, bundle: Bundle, output: str, value: float, rows: slice = slice(None)) -> None:
        super().__init__(bundle, "cpu")
        self._bent, self._value, self._rows = output, value, rows

    def _changed(self, column: NDArray[np.float32]) -> NDArray[np.float32]:
        column = column.copy()
        column[self._rows] = self._value
        return column

    def run(self, matrix: NDArray[np.float32]) -> Any:
        """The scores, one column changed."""
        scores = super().run(matrix)
        return (
            scores
            if self._bent == FEATURE_ERRORS
            else scores._replace(**{self._bent: self._changed(getattr(scores, self._bent))})
        )

    def feature_errors(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """The errors, changed if they are what is bent."""
        errors = super().feature_errors(matrix)
        return self._changed(errors) if self._bent == FEATURE_ERRORS else errors


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with golden rows of every output."""
    return version_of(tmp_path_factory.mktemp("golden") / "bundle", 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, 77.0])
@pytest.mark.parametrize("rows", [slice(None), slice(3, 4)], ids=["all rows", "one row"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_another_answer_in_any_output_and_any_row_is_refused(
    bundle: Bundle, output: str, rows: slice, value: float
) -> None:
    """NaN, infinity and a wrong number, whichever output they are in."""
    assert check_golden(ModelSession(bundle, "cpu")) == 0.0
    with pytest.raises(BundleError) as refused:
        check_golden(Bent(bundle, output, value, rows))
    assert refused.value.reason == "golden"


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_bundle_of_before_is_checked_for_numbers_in_every_output(output: str) -> None:
    """Its golden rows have no errors of features to compare with; NaN is refused all the same."""
    committed = load_bundle(COMMITTED)
    assert committed.golden is not None
    old = replace(committed, golden=committed.golden.model_copy(update={FEATURE_ERRORS: None}))
    check_golden(ModelSession(old, "cpu"))
    with pytest.raises(BundleError, match=f"{output} that is no number"):
        check_golden(Bent(old, output, np.nan))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("column", ["rows", *OUTPUTS])
def test_golden_values_that_are_no_numbers_are_refused(bundle: Bundle, column: str, number: str) -> None:
    """In rows and answers, in each spelling that a JSON reader may take."""
    assert bundle.golden is not None
    content = json.loads(bundle.golden.model_dump_json())
    first = content[column][0]
    if isinstance(first, list):
        first[0] = "here"
    else:
        content[column][0] = "here"
    with pytest.raises(ValueError, match="finite number"):
        Golden.model_validate_json(json.dumps(content).replace('"here"', number))


def test_golden_rows_are_not_made_of_answers_that_are_no_numbers(bundle: Bundle) -> None:
    """Nor does a trainer write them."""
    rows = spread_rows(bundle.reference)
    session = ModelSession(bundle, "cpu")
    scores = session.run(rows)
    spoiled = scores._replace(anomaly_percentile=np.full_like(scores.anomaly_percentile, np.nan))
    with pytest.raises(BundleError, match="anomaly_percentile of a golden row is no number"):
        golden_of(rows, spoiled, session.feature_errors)


def test_errors_of_features_of_another_shape_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    """One for each feature of each row."""
    version_of(tmp_path / "bundle", 2)
    content = json.loads(read_raw(tmp_path / "bundle")[GOLDEN])
    content[FEATURE_ERRORS][2].pop()
    with pytest.raises(ValueError, match="one error for each feature of each row"):
        Golden.model_validate(json.loads(json.dumps(content)), strict=False)
