"""Files of applications, and UCI's frames: attributes by name, labels in words, a sentence for every mistake."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from models.files.applications import mapping, read
from models.files.payments import TableError
from models.files.uci import UCI, FetchError, named

CSV = "income,home,bad\n10,own,0\n20.5,rent,1\n,own,no\n"


def test_a_file_is_read_as_attributes_and_labels_gzipped_or_not(tmp_path: Path) -> None:
    """An empty cell is an attribute that is not known."""
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(CSV)
    packed.write_bytes(gzip.compress(CSV.encode()))
    for path in (plain, packed):
        found = read(path, {"housing": "home"}, "bad")
        assert found.defaulted is not None
        assert found.defaulted.tolist() == [False, True, False]
        assert found.attributes[1]["income"] == 20.5
        assert found.attributes[2]["income"] is None
        assert [row["housing"] for row in found.attributes] == ["own", "rent", "own"]
        assert "bad" not in found.attributes[0]


@pytest.mark.parametrize(
    ("text", "names", "label", "error"),
    [
        (CSV, {"x": "nothing"}, "bad", "has no column nothing; there are income, home, bad"),
        (CSV, {}, "default", "has no column default"),
        (CSV.replace(",no\n", ",maybe\n"), {}, "bad", "bad holds 'maybe', which is no label"),
        (CSV.replace(",no\n", ",\n"), {}, "bad", "bad is empty in 1 rows"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, text: str, names: dict[str, str], label: str, error: str
) -> None:
    """What is wrong, and what there is."""
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=error):
        read(path, names, label)


def test_a_wrong_suffix_a_missing_file_and_a_wrong_pair_are_refused(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(TableError, match=r"ends in none of \.csv, \.csv\.gz, \.parquet"):
        read(tmp_path / "a.xlsx", {})
    with pytest.raises(TableError, match="is not there"):
        read(tmp_path / "a.csv", {})
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
