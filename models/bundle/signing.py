"""Signatures in the format of OpenSSF model-signing 1.1, key mode, compatible with its command line both ways.

The file is a Sigstore bundle with a DSSE envelope (https://github.com/secure-systems-lab/dsse) around an in-toto statement
that lists every file's SHA-256. Only that mode is read here: the library itself brings 20 packages, most of them for
signatures by way of online identities (docs/decisions). What is stricter than there: exactly the files listed, one signature,
no files by pattern left out.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.bundle.dsse import signature_holds, signature_of
from models.bundle.files import SIGNATURE, BundleError, digests
from models.bundle.keys import PrivateKey, PublicKey, fingerprint

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


def sign(files: Mapping[str, bytes], key: PrivateKey, name: str) -> bytes:
    """The signature file over every other file of a bundle. name: what the statement calls it."""
    listed = digests(files)
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root(listed)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE],
            },
            "resources": [{"name": file, "algorithm": "sha256", "digest": digest} for file, digest in listed.items()],
        },
    }
    payload = json.dumps(statement, sort_keys=True).encode()
    signature = signature_of(payload, PAYLOAD_TYPE, key)
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": fingerprint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return (json.dumps(bundle, indent=1) + "\n").encode()


def verify(files: Mapping[str, bytes], keys: Sequence[PublicKey]) -> str:
    """Fingerprint of the key among `keys` that signed exactly these files.

    Nothing of the files is parsed but the signature's envelope; the statement in it only after its signature holds. Raises
    BundleError.
    """
    if SIGNATURE not in files:
        raise BundleError(f"it is not signed: there is no {SIGNATURE}", "unsigned")
    payload, signature = _envelope(files[SIGNATURE])
    signer = next((key for key in keys if signature_holds(payload, PAYLOAD_TYPE, signature, key)), None)
    if signer is None:
        raise BundleError("none of the keys pinned here signed it", "signature")
    signed, found = _listed(payload), digests(files)
    if signed != found:
        strangers = sorted(name for name in signed.keys() | found.keys() if signed.get(name) != found.get(name))
        raise BundleError(f"{', '.join(strangers)} is not as it was signed", "signature")
    return fingerprint(signer)


def _envelope(content: bytes) -> tuple[bytes, bytes]:
    """Payload and signature."""
    try:
        envelope = json.loads(content)["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise BundleError(f"{SIGNATURE} signs something else than a bundle", "signature")
        return _decoded(envelope["payload"]), _decoded(signature["sig"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{SIGNATURE} is no signature file of model-signing in key mode", "signature") from None


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None


def _listed(payload: bytes) -> dict[str, str]:
    """Name -> SHA-256 (hex) of the statement's files. It was signed; that it says what it should is checked all the same."""
    try:
        statement = json.loads(payload)
        if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError
        resources = statement["predicate"]["resources"]
        listed = {entry["name"]: entry["digest"] for entry in resources}
        hashed = {entry["algorithm"] for entry in resources}
        (subject,) = statement["subject"]
        if hashed != {"sha256"} or len(listed) != len(resources) or subject["digest"]["sha256"] != _root(listed):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BundleError(f"{SIGNATURE} is signed but lists no SHA-256 of files", "signature") from None
    return listed


def _root(listed: Mapping[str, str]) -> str:
    """SHA-256 (hex) over the files' digests, sorted by name."""
    return hashlib.sha256(b"".join(bytes.fromhex(listed[name]) for name in sorted(listed))).hexdigest()
