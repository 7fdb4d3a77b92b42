"""A bundle loads whole and unchanged, or not at all."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from models.bundle.files import BYTES_MAX, HELD_OUT, MANIFEST, MODEL, REFERENCE, REPORT, BundleError
from models.bundle.load import load_bundle
from models.bundle.pack import pack_bundle

COMMITTED = Path("deploy/bundles/fraud")


@pytest.fixture
def bundle_dir(tmp_path: Path) -> Path:
    """A copy of the committed bundle, to be damaged."""
    return Path(shutil.copytree(COMMITTED, tmp_path / "bundle"))


def refused(path: Path, because: str) -> None:
    """The bundle is refused in one sentence that says why."""
    with pytest.raises(BundleError, match=because) as caught:
        load_bundle(path)
    message = str(caught.value)
    assert message.startswith("Bundle ")
    assert message.endswith(".")
    assert "\n" not in message


def test_the_committed_bundle_loads_and_is_under_2_mb_but_for_its_held_out_scores() -> None:
    """What the demo scores with passes every check; the scores that new thresholds are measured on take 7 at most."""
    bundle = load_bundle(COMMITTED)
    assert bundle.manifest.product == "fraud"
    assert len(bundle.digest) == 64
    sizes = {file.name: file.stat().st_size for file in COMMITTED.iterdir()}
    assert sizes.pop(HELD_OUT) < 7_000_000
    assert sum(sizes.values()) < 2_000_000


def test_a_packed_bundle_comes_back_as_it_was_and_packs_to_the_same_bytes(tmp_path: Path) -> None:
    """pack and load are inverse, and the digest is of the content alone."""
    bundle = load_bundle(COMMITTED)
    for name in ("one", "two"):
        parts = (bundle.model, bundle.reference, bundle.report, bundle.golden, bundle.held_out)
        pack_bundle(tmp_path / name, bundle.manifest, *parts)
    assert load_bundle(tmp_path / "one") == load_bundle(tmp_path / "two") == bundle


def test_packing_replaces_a_bundle_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    """The new version stands where the old one stood; no scratch directory remains."""
    bundle = load_bundle(COMMITTED)
    pack_bundle(tmp_path / "b", bundle.manifest, bundle.model, bundle.reference)
    pack_bundle(tmp_path / "b", bundle.manifest.model_copy(update={"version": 99}), bundle.model, bundle.reference)
    assert load_bundle(tmp_path / "b").manifest.version == 99
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_packing_never_replaces_a_directory_that_is_no_bundle(tmp_path: Path) -> None:
    """A mistyped --out must not cost anybody's files."""
    (tmp_path / "notes.txt").write_text("mine")
    bundle = load_bundle(COMMITTED)
    with pytest.raises(BundleError, match="choose another directory"):
        pack_bundle(tmp_path, bundle.manifest, bundle.model, bundle.reference)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", [MODEL, REFERENCE])
def test_any_changed_byte_is_refused_before_the_file_is_parsed(bundle_dir: Path, name: str) -> None:
    """The digest speaks first: even a byte that breaks the format is reported as a changed file."""
    content = bytearray((bundle_dir / name).read_bytes())
    content[0] ^= 0xFF
    (bundle_dir / name).write_bytes(content)
    refused(bundle_dir, f"{name} is not the file that manifest.json lists")


def test_a_report_is_packed_checked_and_part_of_the_digest(tmp_path: Path) -> None:
    """A bundle may have none; one that is listed must be there, unchanged, and one that is not listed must not."""
    bundle = load_bundle(COMMITTED)
    pack_bundle(tmp_path / "b", bundle.manifest, bundle.model, bundle.reference, b"<p>fine</p>")
    packed = load_bundle(tmp_path / "b")
    assert packed.report == b"<p>fine</p>"
    pack_bundle(tmp_path / "bare", bundle.manifest, bundle.model, bundle.reference)
    assert load_bundle(tmp_path / "bare").report is None
    assert load_bundle(tmp_path / "bare").digest != packed.digest
    shutil.copy(tmp_path / "b" / REPORT, tmp_path / "bare")
    refused(tmp_path / "bare", "does not list exactly|is not valid at files")
    (tmp_path / "b" / REPORT).write_bytes(b"<p>fine!</p>")
    refused(tmp_path / "b", f"{REPORT} is not the file")
    (tmp_path / "b" / REPORT).unlink()
    refused(tmp_path / "b", "does not list exactly|is not valid at files")


def test_a_missing_file_is_refused(bundle_dir: Path) -> None:
    """Each of the three is needed."""
    (bundle_dir / REFERENCE).unlink()
    refused(bundle_dir, "reference.json is missing")


def test_an_extra_file_is_refused(bundle_dir: Path) -> None:
    """Nothing unchecked may lie beside what was checked."""
    (bundle_dir / "weights.bin").write_bytes(b"")
    refused(bundle_dir, "weights.bin does not belong there")


@pytest.mark.parametrize("name", [MANIFEST, MODEL, REFERENCE])
def test_a_symbolic_link_is_refused_even_to_the_right_content(bundle_dir: Path, tmp_path: Path, name: str) -> None:
    """What it points to could be changed after the check."""
    (bundle_dir / name).rename(tmp_path / name)
    (bundle_dir / name).symlink_to(tmp_path / name)
    refused(bundle_dir, f"{name} is not a regular file")


def test_a_pipe_is_refused_without_waiting_for_a_writer(bundle_dir: Path) -> None:
    """A special file must not hang the scorer."""
    (bundle_dir / MODEL).unlink()
    os.mkfifo(bundle_dir / MODEL)
    refused(bundle_dir, "model.onnx is not a regular file")


def test_a_file_above_its_limit_is_refused(bundle_dir: Path) -> None:
    """Memory is bounded before anything is parsed."""
    (bundle_dir / MANIFEST).write_bytes(b" " * (BYTES_MAX[MANIFEST] + 1))
    refused(bundle_dir, "manifest.json is larger than")


def test_a_missing_directory_is_one_sentence(tmp_path: Path) -> None:
    """The commonest mistake: a wrong path."""
    refused(tmp_path / "nowhere", "cannot be read: No such file or directory")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(bundle_dir: Path, content: bytes) -> None:
    """Malformed, of the wrong kind or absurdly deep."""
    (bundle_dir / MANIFEST).write_bytes(content)
    refused(bundle_dir, "manifest.json is not valid")


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (rb'"name": "fraud"', b'"name": "../fraud"', "name"),
        (rb'"version": 1,', b'"version": 1' + b"0" * 30 + b",", "version"),
        (rb'"version": 1,', b'"version": %d,' % 2**63, "version"),
        (rb'"anomaly_percentile": [0-9.]+', b'"anomaly_percentile": NaN', "thresholds.anomaly_percentile"),
        (rb"\}\s*\Z", b"}{}", "the whole file"),
        (rb"\}\s*\Z", b', "zzz": ' + b"[" * 900 + b"]" * 900 + b"}", "the whole file"),
    ],
)
def test_a_manifest_with_one_odd_value_is_refused_at_its_place(
    bundle_dir: Path, old: bytes, new: bytes, where: str
) -> None:
    """Also where a trusted key signed it: paths, numbers beyond any version, no numbers, a second document, depth."""
    content = (bundle_dir / MANIFEST).read_bytes()
    changed = re.sub(old, new, content, count=1)
    assert changed != content
    (bundle_dir / MANIFEST).write_bytes(changed)
    refused(bundle_dir, f"manifest.json is not valid at {re.escape(where)}")


def test_a_manifest_that_lists_other_files_is_refused(bundle_dir: Path) -> None:
    """Neither a file that is not there nor a path out of the directory can be slipped in."""
    manifest = json.loads((bundle_dir / MANIFEST).read_bytes())
    manifest["files"]["../model.onnx"] = manifest["files"].pop(MODEL)
    (bundle_dir / MANIFEST).write_text(json.dumps(manifest))
    refused(bundle_dir, "does not list exactly|is not valid at files")


def test_a_spec_with_fewer_features_than_the_graph_is_refused(bundle_dir: Path) -> None:
    """Manifest, reference and graph agree on the features, or nothing runs."""
    manifest = json.loads((bundle_dir / MANIFEST).read_bytes())
    manifest["feature_spec"]["features"].pop()
    (bundle_dir / MANIFEST).write_text(json.dumps(manifest))
    refused(bundle_dir, "describes other features")
