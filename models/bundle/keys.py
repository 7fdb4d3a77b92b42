"""Keys: a pair that signs bundles (ECDSA on a NIST curve), and a secret that seals them (AES-256)."""

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models import durable
from models.bundle.files import BundleError

HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""Curves that sign, each with its hash, as OpenSSF model-signing pairs them."""

SEAL_KEY_BYTES = 32

PublicKey = ec.EllipticCurvePublicKey
PrivateKey = ec.EllipticCurvePrivateKey


class KeyFileError(BundleError):
    """A key that cannot be used: one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class SealKey:
    """An AES-256 key. `key_id` names it in what it sealed and reveals nothing about it."""

    secret: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """16 hex digits."""
        return hashlib.sha256(b"assay seal key" + self.secret).hexdigest()[:16]


def public_key(pem: bytes, where: str) -> PublicKey:
    """The public key in `pem`. where: for the sentence of KeyFileError."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        raise KeyFileError(
            f"{where} holds no public key in PEM: give the .pub file of `assay bundle keygen`."
        ) from None
    if not isinstance(key, PublicKey) or key.curve.name not in HASHES:
        raise KeyFileError(f"{where} is no key on P-256, P-384 or P-521: make one with `assay bundle keygen`.")
    return key


def private_key(path: Path, password: str | None = None) -> PrivateKey:
    """The private key in a PEM file. Raises KeyFileError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password.encode() if password else None)
    except OSError as error:
        raise KeyFileError(
            f"Key {path} cannot be read ({error.strerror}): make one with `assay bundle keygen`."
        ) from None
    except TypeError:
        raise KeyFileError(
            f"Key {path} and the password given do not belong together: set ASSAY_KEY_PASSWORD."
        ) from None
    except ValueError:
        raise KeyFileError(f"{path} holds no private key in PEM that this password opens: check both.") from None
    if not isinstance(key, PrivateKey) or key.curve.name not in HASHES:
        raise KeyFileError(f"{path} is no key on P-256, P-384 or P-521: make one with `assay bundle keygen`.")
    return key


def fingerprint(key: PublicKey) -> str:
    """SHA-256 (hex) of the key's PEM, as model-signing names keys."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def public_pem(key: PublicKey) -> bytes:
    """The key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_key_pair(path: Path, password: str | None = None) -> PublicKey:
    """A new pair on P-256: PATH.key, which only we may read, and PATH.pub. Raises KeyFileError where one is there."""
    key = ec.generate_private_key(ec.SECP256R1())
    protection = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    secret_file, public_file = path.with_name(path.name + ".key"), path.with_name(path.name + ".pub")
    if secret_file.exists() and not public_file.exists():
        key = private_key(secret_file, password)  # a run that was killed left half a pair: it is completed
    else:
        if public_file.exists():
            raise KeyFileError(f"{public_file} exists and is left alone: choose another name.")
        _create(secret_file, pem, 0o600)
    _create(public_file, public_pem(key.public_key()), 0o644)
    return key.public_key()


def write_seal_key(path: Path, ending: str = ".seal") -> SealKey:
    """A new secret key in PATH and the ending, which only we may read. Raises KeyFileError where one is there."""
    key = SealKey(secrets.token_bytes(SEAL_KEY_BYTES))
    _create(path.with_name(path.name + ending), base64.b64encode(key.secret) + b"\n", 0o600)
    return key


def seal_key(text: str, where: str) -> SealKey:
    """The sealing key written as base64 or as hex. where: for the sentence of KeyFileError."""
    text = text.strip()
    try:
        secret = bytes.fromhex(text) if len(text) == 2 * SEAL_KEY_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if len(secret) != SEAL_KEY_BYTES:
        raise KeyFileError(
            f"{where} holds no key: 32 bytes in base64, as `assay bundle keygen --seal` and `assay privacy keygen` make."
        )
    return SealKey(secret)


def _create(path: Path, content: bytes, mode: int) -> None:
    """Never over a key that is there: what it signed or sealed would be lost."""
    try:
        durable.make_directory(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError:
        raise KeyFileError(f"{path} exists and is left alone: choose another name.") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        durable.flush(file)
    durable.sync_directory(path.parent)
