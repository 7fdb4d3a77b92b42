"""Signatures: model-signing reads ours, we read its, and nothing that was changed passes."""

import json
from pathlib import Path

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle.files import GOLDEN, MANIFEST, MODEL, REFERENCE, SIGNATURE, BundleError
from models.bundle.keys import KeyFileError, fingerprint, private_key, public_key, public_pem, write_key_pair
from models.bundle.load import load_bundle
from models.bundle.signing import sign, verify
from models.bundle.trust import Trust
from tests.models.bundle.making import COMMITTED, read_raw, signed, signing_key, version_of

FILES = {name: name.encode() * 3 for name in (MANIFEST, MODEL, REFERENCE, GOLDEN)}
SIGNED = {**FILES, SIGNATURE: sign(FILES, signing_key(), "bundle")}
KEYS = (signing_key().public_key(),)


def refused(files: dict[str, bytes], because: str) -> None:
    """The files do not pass, for that reason."""
    with pytest.raises(BundleError, match=because):
        verify(files, KEYS)


def test_the_committed_bundles_are_signed_with_the_key_that_is_pinned_by_default() -> None:
    """If not: `make sign`, which signs them all and pins the key."""
    key = public_key(Path("deploy/keys/demo.pub").read_bytes(), "demo.pub")
    for bundle in sorted(Path("deploy/bundles").iterdir()):
        assert load_bundle(bundle, Trust((key,))).signed_by == fingerprint(key), bundle


def test_model_signing_verifies_what_we_sign(tmp_path: Path) -> None:
    """With the published library, every file counted."""
    version_of(tmp_path / "bundle", 2)
    signed(tmp_path / "bundle")
    (tmp_path / "key.pub").write_bytes(public_pem(signing_key().public_key()))
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
    config.verify(tmp_path / "bundle", tmp_path / "bundle" / SIGNATURE)
    (tmp_path / "bundle" / MODEL).write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        config.verify(tmp_path / "bundle", tmp_path / "bundle" / SIGNATURE)


def test_we_verify_what_model_signing_signs(tmp_path: Path) -> None:
    """The other way round, as a release pipeline that already has the tool would do it."""
    key = write_key_pair(tmp_path / "release")
    version_of(tmp_path / "bundle", 2)
    config = model_signing.signing.Config().use_elliptic_key_signer(private_key=tmp_path / "release.key")
    config.sign(tmp_path / "bundle", tmp_path / "bundle" / SIGNATURE)
    assert load_bundle(tmp_path / "bundle", Trust((key,))).signed_by == fingerprint(key)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_every_curve_of_model_signing_signs(curve: ec.EllipticCurve) -> None:
    """Each with its own hash."""
    key = ec.generate_private_key(curve)
    files = {**FILES, SIGNATURE: sign(FILES, key, "bundle")}
    assert verify(files, [*KEYS, key.public_key()]) == fingerprint(key.public_key())


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_missing_or_renamed_file_is_refused(name: str) -> None:
    """Exactly the files that were signed."""
    refused({**SIGNED, name: SIGNED[name] + b" "}, f"{name} is not as it was signed")
    refused({n: c for n, c in SIGNED.items() if n != name}, f"{name} is not as it was signed")
    refused({**SIGNED, "report.html": b""}, "report.html is not as it was signed")


def test_another_key_and_no_signature_are_refused() -> None:
    """Each with its own reason."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    refused({**FILES, SIGNATURE: sign(FILES, stranger, "bundle")}, "none of the keys pinned here")
    refused(FILES, "not signed")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SIGNED[SIGNATURE]) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_signature_file_never_lets_other_files_pass(at: int, change: int) -> None:
    """It is refused, or it changed nothing that was signed, and then the files are still the signed ones."""
    content = bytearray(SIGNED[SIGNATURE])
    content[at] ^= change
    for files in ({**SIGNED, SIGNATURE: bytes(content)}, {**SIGNED, SIGNATURE: bytes(content), MODEL: b"evil"}):
        try:
            verify(files, KEYS)
        except BundleError:
            continue
        assert files[MODEL] == SIGNED[MODEL]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.just(b"[" * 100_000), st.just(b'{"dsseEnvelope": ' * 9000)))
def test_noise_for_a_signature_is_one_sentence(content: bytes) -> None:
    """No crash, whatever stands there."""
    refused({**FILES, SIGNATURE: content}, "no signature file")


def test_a_statement_of_another_kind_is_refused_though_its_signature_holds() -> None:
    """The same key may sign other things: they are no bundles."""
    statement = json.loads(SIGNED[SIGNATURE])
    statement["dsseEnvelope"]["payloadType"] = "text/plain"
    refused({**FILES, SIGNATURE: json.dumps(statement).encode()}, "something else than a bundle")


def test_a_pinned_key_may_be_replaced_while_both_are_trusted(tmp_path: Path) -> None:
    """Two keys: bundles of either are taken."""
    new = write_key_pair(tmp_path / "new")
    for key in (signing_key(), private_key(tmp_path / "new.key")):
        version_of(tmp_path / "bundle", 2)
        signed(tmp_path / "bundle", key)
        found = load_bundle(tmp_path / "bundle", Trust((signing_key().public_key(), new))).signed_by
        assert found == fingerprint(key.public_key())


def test_an_unsigned_bundle_needs_to_be_allowed_and_a_wrong_signature_never_is(tmp_path: Path) -> None:
    """Allowing unsigned ones does not let a foreign signature pass as none."""
    version_of(tmp_path / "bundle", 2)
    with pytest.raises(BundleError, match="not signed"):
        load_bundle(tmp_path / "bundle", Trust(KEYS))
    with pytest.raises(BundleError, match="no public key is pinned"):
        load_bundle(tmp_path / "bundle", Trust())
    assert load_bundle(tmp_path / "bundle", Trust(KEYS, allow_unsigned=True)).signed_by is None
    signed(tmp_path / "bundle", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(BundleError, match="none of the keys"):
        load_bundle(tmp_path / "bundle", Trust(KEYS, allow_unsigned=True))


def test_a_private_key_is_ours_alone_and_never_written_over(tmp_path: Path) -> None:
    """Mode 600; a second keygen refuses; a password that is missing or wrong is one sentence."""
    write_key_pair(tmp_path / "k", "secret")
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="left alone"):
        write_key_pair(tmp_path / "k")
    for password in (None, "wrong"):
        with pytest.raises(KeyFileError):
            private_key(tmp_path / "k.key", password)
    assert fingerprint(private_key(tmp_path / "k.key", "secret").public_key())
    with pytest.raises(KeyFileError, match="no public key"):
        public_key((tmp_path / "k.key").read_bytes(), "k.key")


def test_the_bytes_that_were_verified_are_the_bytes_that_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are swapped on disk the moment after the signature was checked change nothing."""
    version_of(tmp_path / "bundle", 2)
    signed(tmp_path / "bundle")
    before = read_raw(tmp_path / "bundle")
    real = Trust.signer

    def swapping(self: Trust, files: dict[str, bytes]) -> str | None:
        signer = real(self, files)
        for file in (tmp_path / "bundle").iterdir():
            file.write_bytes(b"evil")
        return signer

    monkeypatch.setattr(Trust, "signer", swapping)
    loaded = load_bundle(tmp_path / "bundle", Trust(KEYS))
    assert loaded.model == before[MODEL]
    assert load_bundle(COMMITTED).model == before[MODEL]
