"""Containers: the same files in and out, sealed ones only with their key, and nothing that was changed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import container
from models.bundle.files import BYTES_MAX, MANIFEST, MODEL, REFERENCE, BundleError
from models.bundle.keys import KeyFileError, SealKey, seal_key, write_seal_key
from models.bundle.load import load_bundle, open_bundle
from models.bundle.trust import ANYBODY, Trust
from tests.models.bundle.making import COMMITTED, read_raw

FILES = {MANIFEST: b"{}\n\n{}", MODEL: b"\0\1\2" * 50, REFERENCE: b""}
PLAIN = container.pack(FILES)
KEY = SealKey(bytes(range(32)))


def test_files_come_out_as_they_went_in_sealed_or_not() -> None:
    """And two seals of the same files differ, since each has its own nonce."""
    assert container.unpack(PLAIN) == FILES
    one, two = container.seal(PLAIN, KEY), container.seal(PLAIN, KEY)
    assert one != two
    assert container.open_sealed(one, KEY) == PLAIN
    assert FILES[MODEL] not in one


def test_a_sealed_bundle_loads_from_one_file_and_only_with_its_key(tmp_path: Path) -> None:
    """In memory; nothing is written. The sentence names both keys' ids and no key."""
    path = tmp_path / "fraud.sealed"
    path.write_bytes(container.seal(container.pack(read_raw(COMMITTED)), KEY))
    loaded = load_bundle(path, Trust(allow_unsigned=True, seal_key=lambda: KEY))
    assert loaded == load_bundle(COMMITTED)
    stranger = SealKey(bytes(32))
    with pytest.raises(BundleError, match=f"{KEY.key_id}, and the key here is {stranger.key_id}") as caught:
        load_bundle(path, Trust(allow_unsigned=True, seal_key=lambda: stranger))
    assert caught.value.reason == "sealed"
    with pytest.raises(BundleError, match="no sealing key is set"):
        load_bundle(path, ANYBODY)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(BundleError, match="not a regular file"):
        load_bundle(link, ANYBODY)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_changed_byte_of_a_sealed_bundle_is_refused(data: st.DataObject) -> None:
    """At any place, also in its head."""
    sealed = bytearray(container.seal(PLAIN, KEY))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError):
        open_bundle(bytes(sealed), "It", Trust(allow_unsigned=True, seal_key=lambda: KEY))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"assay-bundle 1\n",
        b"assay-bundle 1\nmodel.onnx 5\n\n1234",
        b"assay-bundle 1\nmodel.onnx 3\n\n1234",
        b"assay-bundle 1\nmodel.onnx 99999999999\n\n",
        b"assay-bundle 1\nmodel.onnx -1\n\n",
        b"assay-bundle 1\nmodel.onnx \xb2\n\n12",
        b"assay-bundle 1\n../../etc/passwd 1\n\n1",
        b"assay-bundle 1\nmodel.onnx 1\nmodel.onnx 1\n\n11",
        b"assay-bundle 1\n" + b"model.onnx 1\n" * 5000 + b"\n",
        b"assay-bundle 1\nmodel.onnx %d\n\n" % (BYTES_MAX[MODEL] + 1),
        b"assay-bundle 1\n\n",
    ],
)
def test_what_is_no_container_is_one_sentence(content: bytes) -> None:
    """Too long, too short, twice, out of the directory, or without an end."""
    with pytest.raises(BundleError, match=r"^It is refused: .*\.$"):
        open_bundle(content, "It", ANYBODY)


def test_a_sealing_key_is_base64_or_hex_and_shows_itself_nowhere(tmp_path: Path) -> None:
    """Either form gives the same key; its repr and its id hold nothing of it."""
    key = write_seal_key(tmp_path / "bank")
    assert seal_key((tmp_path / "bank.seal").read_text(), "x") == seal_key(key.secret.hex(), "x") == key
    assert (tmp_path / "bank.seal").stat().st_mode & 0o777 == 0o600
    assert key.secret.hex() not in repr(key) + key.key_id
    for text in ("", "short", "!" * 44, "0" * 63):
        with pytest.raises(KeyFileError, match="holds no key"):
            seal_key(text, "x")
