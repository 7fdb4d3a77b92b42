"""The layouts of five public data sets are read by the specs of docs/examples: checked, features built, scored."""

import json
from pathlib import Path

import polars as pl
import pytest

from models.bundle.load import load_bundle, read_files
from models.bundle.pack import with_manifest, write_files
from models.files.events import read_events
from models.sources.spec_file import SourceSpecError, load_source, users_topic
from schemas.derived import Currencies
from tests.services.cli.test_app import run_main
from tests.services.harness import BUNDLES, ROOT
from tests.streams.public import LAYOUTS, file_of

EXAMPLES = ROOT / "docs/examples"
ROWS = 600


def specs(name: str) -> tuple[str, str]:
    """Paths of the source and the feature spec."""
    return str(EXAMPLES / name / "source.yaml"), str(EXAMPLES / name / "features.yaml")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_layout_is_checked_and_its_features_are_built(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row that is meant is an event, and becomes a row of features with its label."""
    path, (source, features) = file_of(name, tmp_path, ROWS), specs(name)
    assert run_main(monkeypatch, "source", "check", source, str(path), "--json") == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert (counts["fault"], counts["event"] + counts["not selected"]) == (0, ROWS)
    spec, out = load_source(Path(source)), tmp_path / "features.parquet"
    given = (
        "features",
        "build",
        str(path),
        str(out),
        "--source",
        source,
        "--spec",
        features,
        "--label",
        str(spec.label),
    )
    assert run_main(monkeypatch, *given, "--processes", "1", "--json") == 0
    built = pl.read_parquet(out)
    assert len(built) == counts["event"]
    assert 0 < built["is_fraud"].sum() < counts["event"] / 5


def test_what_the_layouts_hide_in_several_columns_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """Steps of an hour from the start; a date in four columns; amounts behind a dollar, refunds below 0; the second Account."""
    found = {name: read_events(file_of(name, tmp_path, 60), load_source(Path(specs(name)[0]))) for name in LAYOUTS}
    first = {name: frame.sort("row").row(0, named=True) for name, frame in found.items()}
    assert first["paysim"]["event_time_ms"] % 3_600_000 == 0
    assert found["paysim"]["event_time_ms"].min() >= 1_767_229_200_000  # 2026-01-01T01:00Z, step 1
    assert found["ulb"]["transaction_id"].to_list() == found["ulb"]["card_id"].to_list() == list(map(str, range(1, 61)))
    assert first["tabformer"]["event_time_ms"] == 1_767_571_200_000  # 2026-01-05T00:00Z
    assert found["tabformer"].sort("row")["card_id"][41] == "1/1"
    assert found["tabformer"].sort("row")["amount"][0] < 0 < found["tabformer"].sort("row")["amount"][1]
    assert first["ibm_aml"]["card_id"].count("/") == first["ibm_aml"]["terminal_id"].count("/") == 1
    assert set(found["ibm_aml"]["currency"]) <= {"USD", "EUR", "XBT"}
    assert found["sparkov"]["card_id"][0].startswith("First")


@pytest.mark.parametrize("name", ["paysim", "ulb", "tabformer", "ibm_aml"])
def test_a_spec_of_row_numbers_is_for_files_and_a_topic_is_refused_in_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records of a topic have no rows; the sentence says what to do."""
    with pytest.raises(SourceSpecError, match="only a file has: name a field"):
        users_topic(load_source(Path(specs(name)[0])))
    assert run_main(monkeypatch, "source", "check", specs(name)[0], "payments") == 2
    assert "only a file has" in " ".join(capsys.readouterr().err.split())


def test_a_file_of_joined_ids_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a bundle that carries the spec; one row out for each row in."""
    source = load_source(Path(specs("tabformer")[0]))
    demo = Path(BUNDLES["ASSAY_BUNDLE"])
    manifest = load_bundle(demo).manifest
    spec = manifest.feature_spec.model_copy(update={"currencies": Currencies(only="USD")})
    features = tuple(
        f.model_copy(update={"transform": "none"}) if hasattr(f, "transform") else f for f in spec.features
    )
    spec = spec.model_copy(update={"features": features})
    manifest = manifest.model_copy(update={"source": source, "feature_spec": spec, "statement": None})
    write_files(tmp_path / "bundle", with_manifest(read_files(demo), manifest))
    monkeypatch.setenv("ASSAY_ALLOW_UNSIGNED_BUNDLES", "true")
    out = tmp_path / "scores.parquet"
    given = ("batch", str(file_of("tabformer", tmp_path, 300)), str(out), "--bundle", str(tmp_path / "bundle"))
    assert run_main(monkeypatch, *given) == 0
    scored = pl.read_parquet(out)
    assert (len(scored), scored["probability"].null_count()) == (300, 0)


@pytest.mark.slow
def test_a_public_layout_is_trained_on_by_its_label_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`train` takes the spec's own label."""
    path, (source, features) = file_of("ibm_aml", tmp_path, 4_000), specs("ibm_aml")
    bundle = str(tmp_path / "bundle")
    quick = ("--epochs", "3", "--no-compared", "--no-gan", "--out", bundle, "--json")
    quick += ("--accept", "constant", "--accept", "logistic")  # three epochs
    assert (
        run_main(monkeypatch, "train", "fraud", "--data", str(path), "--source", source, "--features", features, *quick)
        == 0
    )
    assert json.loads(capsys.readouterr().out)["source"]["label"] == "Is Laundering"
    monkeypatch.setenv("ASSAY_ALLOW_UNSIGNED_BUNDLES", "true")
    out = tmp_path / "scores.parquet"
    assert run_main(monkeypatch, "batch", str(path), str(out), "--bundle", bundle) == 0
    assert pl.read_parquet(out)["probability"].null_count() == 0
