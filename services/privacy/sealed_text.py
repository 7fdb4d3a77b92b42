"""What one text or record about a subject becomes: AES-256-GCM under the subject's key, as text.

With dots between: the master key's id, the salt's id, and in base64 a random nonce of 12 bytes and the ciphertext. What it is
of is authenticated with it, so a sealed part cannot be moved elsewhere. After 2^32 texts of one subject the chance that two
nonces were the same would be 2^-33.
"""

import base64
import secrets
from typing import Literal

from cryptography.exceptions import InvalidTag

from services.errors import AssayError
from services.privacy.subject_keys import SubjectKey, SubjectKeys

NONCE_BYTES = 12

Closed = Literal["erased", "changed"]
"""Why it does not open: its subject was erased, or it was changed since it was sealed."""


def seal(part: bytes, bound: bytes, key: SubjectKey, master_id: str) -> str:
    """The part, sealed. bound: what it is of, which `unseal` must be given again."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    content = nonce + key.cipher.encrypt(nonce, part, bound)
    return f"{master_id}.{key.salt_id}.{base64.b64encode(content).decode()}"


def unseal(text: str, reference: str, bound: bytes, keys: SubjectKeys, what: str) -> bytes | Closed:
    """The part. what: names it in errors. Raises AssayError for another master key, SubjectKeysError as `find`."""
    master_id, _, rest = text.partition(".")
    salt_id, _, sealed = rest.partition(".")
    if master_id != keys.master_id:
        raise AssayError(
            f"{what} is sealed with the key {master_id}, and ASSAY_SUBJECT_KEY is {keys.master_id}: set the other one."
        )
    try:
        key = keys.find(reference)
        if key is None or key.salt_id != salt_id:
            return "erased"
        content = base64.b64decode(sealed, validate=True)
        return key.cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], bound)
    except (ValueError, InvalidTag):
        return "changed"
