"""`assay run`: what a bundle needs beside the scorer."""

import os
from pathlib import Path

import pytest

from models.bundle.load import load_bundle
from models.sources.spec_file import default_source, parse_source
from services.cli.offline.verify import _input
from services.cli.running.run import programs
from tests.services.cli.test_app import run_main
from tests.services.scorer.test_source import SOURCE, bundle_of


def test_what_runs_is_what_the_bundle_reads() -> None:
    """Intake where the source is routed, the profiler where features read terminals, in a payment's order."""
    manifest = load_bundle(Path(os.environ["ASSAY_BUNDLE"])).manifest
    assert programs(manifest) == ["profiler", "scorer"]
    routed = default_source().model_copy(update={"topic": "mine", "routed": True})
    assert programs(manifest.model_copy(update={"source": routed})) == ["intake", "profiler", "scorer"]


def test_without_a_bundle_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One sentence says what is missing."""
    monkeypatch.setenv("ASSAY_BUNDLE", str(tmp_path / "none"))
    assert run_main(monkeypatch, "run") == 2
    assert "none" in capsys.readouterr().err


def test_verify_takes_the_source_from_the_bundle_that_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that both hops of a routed source are judged without a word; a spec that is given comes first."""
    source = parse_source(SOURCE.strip() + "\nrouted: true\n")
    monkeypatch.setenv("ASSAY_BUNDLE", str(bundle_of(source, tmp_path / "bundle")))
    monkeypatch.setenv("ASSAY_ALLOW_UNSIGNED_BUNDLES", "true")
    assert _input(None, entities=False) == (source, False)
    given = tmp_path / "source.yaml"
    given.write_text(SOURCE)
    assert _input(given, entities=True) == (parse_source(SOURCE), True)
