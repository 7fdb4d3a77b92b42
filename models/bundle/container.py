"""A bundle as one file, plain or sealed: what a registry keeps, and what can be sent where disks are not trusted.

Plain: a first line, then `NAME SIZE` for each file, an empty line, the contents. No compression, so what is small stays small.
Sealed: a first line, the key's id, a nonce of 12 bytes, then the plain form under AES-256-GCM, with everything before it as
associated data. Sealing is over the signature, too: open first, then verify.
"""

import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.bundle.files import BYTES_MAX, OPTIONAL, BundleError, Files
from models.bundle.keys import SealKey

PLAIN = b"assay-bundle 1\n"
SEALED = b"assay-sealed 1\n"
NONCE_BYTES = 12
KEY_ID_BYTES = 16
HEADER_BYTES_MAX = 4096

CONTAINER_BYTES_MAX = sum(BYTES_MAX.values()) + HEADER_BYTES_MAX


def pack(files: Mapping[str, bytes]) -> bytes:
    """The files as one plain container, sorted by name: the same files give the same bytes."""
    names = sorted(files)
    header = "".join(f"{name} {len(files[name])}\n" for name in names)
    return b"".join([PLAIN, header.encode(), b"\n", *(files[name] for name in names)])


def seal(container: bytes, key: SealKey) -> bytes:
    """A plain container, encrypted and authenticated under `key`. The nonce is random: keep to 2^32 seals with one key."""
    head = SEALED + key.key_id.encode()
    nonce = secrets.token_bytes(NONCE_BYTES)
    return head + nonce + AESGCM(key.secret).encrypt(nonce, container, head)


def is_sealed(content: bytes) -> bool:
    """Whether a container needs a key."""
    return content.startswith(SEALED)


def open_sealed(content: bytes, key: SealKey) -> bytes:
    """The plain container. Raises BundleError for another key or any changed bit."""
    head = content[: len(SEALED) + KEY_ID_BYTES]
    nonce, sealed = content[len(head) : len(head) + NONCE_BYTES], content[len(head) + NONCE_BYTES :]
    key_id = head[len(SEALED) :]
    if key_id != key.key_id.encode():
        sealed_by = key_id.decode("ascii", "replace")
        raise BundleError(f"it is sealed with the key {sealed_by}, and the key here is {key.key_id}", "sealed")
    try:
        return AESGCM(key.secret).decrypt(nonce, sealed, head)
    except (InvalidTag, ValueError):
        raise BundleError("the seal is broken: a byte was changed since it was sealed", "sealed") from None


def unpack(content: bytes, sizes: Mapping[str, int] = BYTES_MAX, optional: frozenset[str] = OPTIONAL) -> Files:
    """The files of a plain container, each within its limit. Raises BundleError. sizes: name -> largest; others are refused."""
    if not content.startswith(PLAIN):
        raise BundleError("the file is neither a bundle's container nor a sealed one")
    end = content.find(b"\n\n", len(PLAIN) - 1, HEADER_BYTES_MAX)
    if end < 0:
        raise BundleError("the container has no list of its files")
    files: Files = {}
    at = end + 2
    for line in content[len(PLAIN) : end + 1].decode("ascii", "replace").splitlines():
        name, _, digits = line.partition(" ")
        size = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else -1
        if name not in sizes or name in files:
            raise BundleError(f"{name!r} does not belong there")
        if not 0 <= size <= sizes[name]:
            raise BundleError(f"{name} is larger than {sizes[name]} bytes")
        files[name] = content[at : at + size]
        at += size
    if at != len(content):
        raise BundleError("the container is not as long as its list says")
    if missing := set(sizes) - optional - files.keys():
        raise BundleError(f"{', '.join(sorted(missing))} is missing")
    return files
