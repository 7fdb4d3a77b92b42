"""Files of applications, and UCI's frames: attributes by name, labels in words, a sentence for every mistake."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from models.files.applications import mapping, read
from models.files.options import ReadOptions, TableError
from models.files.uci import UCI, FetchError, named
from schemas.feature_spec import FeatureSpec

CSV = "income,home,bad\n10,own,0\n20.5,rent,1\n,own,no\n"
SPEC = FeatureSpec.model_validate(
    {
        "version": 1,
        "features": (
            {"name": "income", "kind": "number", "attribute": "income", "missing": 0},
            {
                "name": "housing",
                "kind": "category",
                "attribute": "housing",
                "missing": 9,
                "values": {"own": {"number": 0}, "rent": {"number": 1}, "NA": {"number": 2}, "3": {"number": 3}},
            },
        ),
    }
)
NAMES = {"housing": "home"}


def test_a_file_is_read_as_attributes_and_labels_gzipped_or_not(tmp_path: Path) -> None:
    """An empty cell is an attribute that is not known."""
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(CSV)
    packed.write_bytes(gzip.compress(CSV.encode()))
    for path in (plain, packed):
        found = read(path, NAMES, SPEC, "bad")
        assert found.defaulted is not None
        assert found.defaulted.tolist() == [False, True, False]
        assert [row["income"] for row in found.attributes] == [10.0, 20.5, None]
        assert [row["housing"] for row in found.attributes] == ["own", "rent", "own"]
        assert list(found.lines) == [2, 3, 4]


def test_a_word_for_nothing_leaves_a_number_a_number_and_is_a_category_where_the_spec_names_it(tmp_path: Path) -> None:
    """The spec says which columns are numbers, so one odd cell refuses its own row alone."""
    path = tmp_path / "a.csv"
    path.write_text("income,housing\nn/a,NA\nmany,null\n5,3.0\n7,Car\n")
    found = read(path, {}, SPEC)
    assert [row["income"] for row in found.attributes] == [None, "many", 5.0, 7.0]
    assert [row["housing"] for row in found.attributes] == ["NA", None, "3", "Car"]


def test_an_attribute_that_the_spec_reads_must_be_there_or_be_given_up(tmp_path: Path) -> None:
    """The nearest column is named; what is not read is noted."""
    path = tmp_path / "a.csv"
    path.write_text("Income,housing,town\n5,own,x\n")
    with pytest.raises(TableError, match=r"nearest is Income: --map income=Income.*--without income"):
        read(path, {}, SPEC)
    found = read(path, {}, SPEC, options=ReadOptions(without=("income",)))
    assert found.attributes == [{"housing": "own"}]
    assert found.notes == ["not read: Income, town"]


@pytest.mark.parametrize(
    ("text", "names", "label", "error"),
    [
        (CSV, {"income": "nothing", **NAMES}, "bad", "has no column nothing.*there are income, home, bad"),
        (CSV, NAMES, "default", "has no column default"),
        (
            CSV.replace(",no\n", ",maybe\n"),
            NAMES,
            "bad",
            "bad holds text in line 4, which is neither yes nor no here: say what it means with --word WORD=yes",
        ),
        (CSV.replace(",no\n", ",\n"), NAMES, "bad", "bad is empty in 1 rows"),
        (CSV[:16], NAMES, "bad", "holds no application"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, text: str, names: dict[str, str], label: str, error: str
) -> None:
    """What is wrong, and what there is."""
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=error):
        read(path, names, SPEC, label)


def test_a_wrong_suffix_a_missing_file_and_a_wrong_pair_are_refused(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(TableError, match=r"ends in none of \.csv, \.tsv"):
        read(tmp_path / "a.xlsx", {}, SPEC)
    with pytest.raises(TableError, match="is not there"):
        read(tmp_path / "a.csv", {}, SPEC)
    with pytest.raises(TableError, match="is not ATTRIBUTE=COLUMN"):
        mapping(["income"])


def test_ucis_numbered_columns_take_the_names_that_the_specs_read() -> None:
    """In UCI's order; its class 2 of German credit is a default."""
    german = UCI["german"]
    frame = pd.DataFrame([[f"v{column}" for column in range(20)]] * 2, columns=[f"Attribute{c}" for c in range(1, 21)])
    found = named(german, frame, pd.DataFrame({"class": [1, 2]}))
    assert found.attributes[0]["checking_status"] == "v0"
    assert found.attributes[0]["foreign_worker"] == "v19"
    assert found.defaulted is not None
    assert found.defaulted.tolist() == [False, True]
    with pytest.raises(FetchError, match="has 19 columns, not 20"):
        named(german, frame.iloc[:, 1:], pd.DataFrame({"class": [1, 2]}))
